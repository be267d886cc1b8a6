//! A relay that takes its time: a network between two ends of loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Result;

/// Relays connections to `to`, each byte as late as `one_way`; gives the address to connect to. TCP's own handshake
/// takes as long as it would over such a way.
pub fn relay(to: SocketAddr, one_way: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind((to.ip(), 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || connection(&client, to, one_way));
        }
    });
    Ok(address)
}

fn connection(client: &TcpStream, to: SocketAddr, one_way: Duration) -> std::io::Result<()> {
    // SYN, its answer, and the first packet: only then does the server know of the connection.
    thread::sleep(3 * one_way);
    let server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = (client.try_clone()?, client.try_clone()?);
    let from_server = server.try_clone()?;
    // What the client sent as soon as it was connected has been under way since.
    let arrived = Instant::now() + Duration::from_millis(2);
    let up = thread::spawn(move || pump(from_client, server, one_way, Some(arrived)));
    pump(from_server, to_client, one_way, None);
    let _ = up.join();
    Ok(())
}

fn pump(mut from: TcpStream, mut to: TcpStream, one_way: Duration, arrived: Option<Instant>) {
    let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
    let writer = thread::spawn(move || {
        for (due, bytes) in receive {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let now = Instant::now();
        let due = if arrived.is_some_and(|arrived| now < arrived) { now } else { now + one_way };
        if send.send((due, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
    drop(send);
    let _ = writer.join();
}
