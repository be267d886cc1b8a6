//! A terminal with somebody at it: a real pty, as the controlling terminal of what runs there.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// What is waited for comes within this, or never.
const LIMIT: Duration = Duration::from_secs(90);

/// A program at a terminal.
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<(Mutex<String>, Condvar)>,
    reader: Option<JoinHandle<()>>,
    /// How much of the screen earlier waits have seen.
    seen: usize,
}

impl Terminal {
    /// Starts a program there.
    pub fn start(command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&ours).expect("a pty of our own");
        unlockpt(&ours).expect("an unlocked pty");
        let name = ptsname(&ours, Vec::new()).expect("its name").into_string().expect("in ASCII");
        tcsetwinsize(&ours, Winsize { ws_row: 50, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 }).expect("a size");
        let theirs = File::options().read(true).write(true).open(&name).expect("the other side");
        // `setsid --ctty` makes standard input the controlling terminal.
        let mut at_terminal = Command::new("setsid");
        at_terminal
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                at_terminal.env(name, value);
            }
        }
        at_terminal
            .stdin(theirs.try_clone().expect("its input"))
            .stdout(theirs.try_clone().expect("its output"))
            .stderr(theirs);
        let child = at_terminal.spawn().expect("setsid");
        // Otherwise the terminal would never end for the reader.
        drop(at_terminal);
        let keyboard = File::from(ours);
        let mut output = keyboard.try_clone().expect("its screen");
        let screen = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let reader = std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || {
                let mut buffer = [0; 4096];
                // Linux ends a terminal that nobody has open any more by an error.
                while let Ok(count) = output.read(&mut buffer) {
                    if count == 0 {
                        break;
                    }
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    screen.0.lock().expect("the screen").push_str(&text);
                    screen.1.notify_all();
                }
            }
        });
        Self { child, keyboard, screen, reader: Some(reader), seen: 0 }
    }

    /// Types this.
    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("a keyboard");
    }

    /// Types this once the terminal shows nothing of it: what comes before that is shown, and lost.
    #[track_caller]
    pub fn types_unseen(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        while tcgetattr(&self.keyboard).expect("a terminal").local_modes.contains(LocalModes::ECHO) {
            assert!(Instant::now() < end, "the terminal still shows what is typed");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.types(text);
    }

    /// Waits until this is shown, behind what was waited for before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        let mut screen = self.screen.0.lock().expect("the screen");
        loop {
            if let Some(at) = screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {text:?} behind {:?}", &screen[..]);
            screen = self.screen.1.wait_timeout(screen, left).expect("the screen").0;
        }
    }

    /// Waits until the program has ended and gives its exit code.
    #[track_caller]
    pub fn ends(&mut self) -> i32 {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("its end") {
                // What it wrote last is read to its end.
                self.reader.take().map(JoinHandle::join);
                return status.code().unwrap_or(-1);
            }
            assert!(
                Instant::now() < end,
                "it does not end: {:?}",
                &self.screen.0.lock().expect("the screen")[..]
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
