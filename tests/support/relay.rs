//! A way to maint1 of a test's own, whose connections it can reset.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use orocloud_sandbox::SSH_PORT;

use super::Shop;

/// Passes connections on, until it is told to reset them.
pub struct Relay {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    pub fn start(shop: &Shop) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let to = (shop.sandbox.node("maint1").expect("maint1").address(), SSH_PORT);
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let opened = Arc::clone(&open);
        // Ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect((to.0.as_str(), to.1)) else { continue };
                let mut all = opened.lock().expect("no panic");
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) =
                        (from.try_clone().expect("one more"), to.try_clone().expect("one more"));
                    let _ = to.set_nodelay(true);
                    all.push(from.try_clone().expect("one more"));
                    thread::spawn(move || {
                        let mut buffer = vec![0; 32 * 1024];
                        while let Ok(length @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..length]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { port, open }
    }

    /// The configuration of a caller who comes this way.
    pub fn config(&self, shop: &Shop, caller: &str) -> PathBuf {
        let direct = shop.sandbox.config_for(&shop.sandbox.caller(caller)).expect("a configuration");
        let text = std::fs::read_to_string(&direct).expect("its text");
        let text: String = text
            .lines()
            .map(|line| match line.split_once(" = ") {
                Some(("address", _)) => "address = \"127.0.0.1\"\n".to_owned(),
                Some(("port", _)) => format!("port = {}\n", self.port),
                _ => format!("{line}\n"),
            })
            .collect();
        let path = direct.with_extension("relay.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    /// Resets every connection there is; new ones are passed on.
    pub fn reset(&self) {
        for stream in self.open.lock().expect("no panic").drain(..) {
            // What a socket that was connected to nobody again sends.
            let _ = rustix::net::connect_unspec(&stream);
        }
    }
}
