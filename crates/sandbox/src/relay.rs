//! A relay in front of every listening port of a node, so that the node can be cut off or be gone.
//!
//! *Cut*: no byte passes and nothing is reset or closed; connections, new ones too, just hang, and go on when the
//! node is healed. *Dying*, then *dead*: what the node said while it lived still arrives, then connections are reset and
//! new ones refused. *Closed*: the same at once, as with a host without programs.

use std::io::ErrorKind;
use std::net::SocketAddrV4;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

use crate::error::{Context, Error, Result};
use crate::hosts::{Addresses, HOSTS, Host};

/// What the relays of one node do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Pass everything on.
    Open,
    /// Pass nothing on, say nothing.
    Cut,
    /// Its programs are being killed: refuse, and pass on what they say, but no end, for a dead host does not take leave.
    Dying,
    /// Pass on what was said already, then refuse.
    Dead,
    /// Refuse.
    Closed,
}

/// The relays of all hosts, in a thread of their own.
pub struct Relays {
    gates: Vec<watch::Sender<Gate>>,
}

impl Relays {
    /// Listens on every public address; the first error is given when all have tried.
    pub fn start(addresses: Addresses) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(|| "cannot start the relays".to_owned())?;
        let mut gates = Vec::new();
        for host in &HOSTS {
            let (sender, gate) = watch::channel(Gate::Open);
            gates.push(sender);
            for &port in host.ports {
                let (public, real) = (addresses.public_port(host, port), addresses.real_port(host, port));
                let listener = runtime
                    .block_on(TcpListener::bind(public))
                    .context(|| format!("cannot listen on {public}"))?;
                runtime.spawn(relay(Some(listener), public, real, gate.clone()));
            }
        }
        thread::Builder::new()
            .name("relays".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .context(|| "cannot start the relays".to_owned())?;
        Ok(Self { gates })
    }

    /// Changes what the relays of one host do, for connections that exist too.
    pub fn set(&self, host: &Host, gate: Gate) {
        if let Some(sender) =
            HOSTS.iter().position(|other| other.name == host.name).and_then(|i| self.gates.get(i))
        {
            sender.send_replace(gate);
        }
    }
}

/// Accepts while the gate is open; while it is closed there is no listener.
async fn relay(
    mut listener: Option<TcpListener>,
    public: SocketAddrV4,
    real: SocketAddrV4,
    mut gate: watch::Receiver<Gate>,
) -> Result<()> {
    loop {
        let now = *gate.borrow_and_update();
        match (now, listener.take()) {
            (Gate::Open, Some(open)) => {
                tokio::select! {
                    accepted = open.accept() => {
                        if let Ok((client, _)) = accepted {
                            tokio::spawn(connection(client, real, gate.clone()));
                        }
                    }
                    changed = gate.changed() => changed.map_err(|_| gone())?,
                }
                listener = Some(open);
            }
            // The kernel goes on greeting new connections, which then hang.
            (Gate::Cut, Some(open)) => {
                gate.changed().await.map_err(|_| gone())?;
                listener = Some(open);
            }
            (Gate::Dying | Gate::Dead | Gate::Closed, open) => {
                drop(open);
                gate.changed().await.map_err(|_| gone())?;
            }
            (Gate::Open | Gate::Cut, None) => match TcpListener::bind(public).await {
                Ok(open) => listener = Some(open),
                // Somebody is quicker; the address is ours by claim, so not for long.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
}

fn gone() -> Error {
    Error::new("the sandbox is going down")
}

/// One connection, to its end or until the gate closes.
async fn connection(client: TcpStream, real: SocketAddrV4, mut gate: watch::Receiver<Gate>) {
    if open(&mut gate).await.is_err() {
        return;
    }
    let Ok(program) = TcpStream::connect(real).await else {
        reset_on_close(&client);
        return;
    };
    let (mut closing, mut dying) = (gate.clone(), gate.clone());
    let all_said = Notify::new();
    let end = tokio::select! {
        end = carry(&client, &program, &gate, &all_said) => end,
        _ = closing.wait_for(|gate| *gate == Gate::Closed) => Err(gone()),
        () = async {
            let _ = dying.wait_for(|gate| *gate == Gate::Dead).await;
            all_said.notified().await;
        } => Err(gone()),
    };
    if end.is_err() {
        // Both sides see a reset rather than an orderly end.
        reset_on_close(&client);
        reset_on_close(&program);
    }
}

/// Both directions, until each has ended or one has failed; tells when the program has said all.
async fn carry(
    client: &TcpStream,
    program: &TcpStream,
    gate: &watch::Receiver<Gate>,
    all_said: &Notify,
) -> Result<()> {
    client.set_nodelay(true)?;
    program.set_nodelay(true)?;
    let said = async {
        let end = pump(program, client, gate.clone()).await;
        all_said.notify_one();
        end
    };
    // What was said before a death is carried before anybody notices that nothing can be heard any more.
    let heard = async {
        let end = pump(client, program, gate.clone()).await;
        let dies = matches!(*gate.borrow(), Gate::Dying | Gate::Dead);
        if dies { std::future::pending().await } else { end }
    };
    tokio::try_join!(said, heard).map(drop)
}

/// Waits until bytes may pass.
async fn open(gate: &mut watch::Receiver<Gate>) -> Result<()> {
    gate.wait_for(|gate| matches!(gate, Gate::Open | Gate::Dying | Gate::Dead))
        .await
        .map(drop)
        .map_err(|_| gone())
}

/// Copies one direction. The gate is asked before every read and every write; what was read when the gate is cut is
/// kept until it opens, and so is the news that one side has closed.
async fn pump(from: &TcpStream, to: &TcpStream, mut gate: watch::Receiver<Gate>) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        open(&mut gate).await?;
        from.readable().await?;
        let length = match from.try_read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => {
                open(&mut gate).await?;
                return Err(error.into());
            }
        };
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            to.writable().await?;
            open(&mut gate).await?;
            match to.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        if length == 0 {
            let now =
                *gate.wait_for(|gate| matches!(gate, Gate::Open | Gate::Dead)).await.map_err(|_| gone())?;
            if now == Gate::Open {
                // The other direction may go on.
                let _ = rustix::net::shutdown(to, rustix::net::Shutdown::Write);
            }
            return Ok(());
        }
    }
}

/// Lets the kernel answer with a reset when the socket is closed.
fn reset_on_close(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}
