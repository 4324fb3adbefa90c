//! Shows that a long step is alive: one line in place on a terminal, else one line every 15 s.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::say;

const ON_TERMINAL: Duration = Duration::from_millis(500);
const ELSEWHERE: Duration = Duration::from_secs(15);

/// Prints until dropped.
#[derive(Debug)]
pub struct Progress {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Starts showing `label` with the elapsed seconds.
    pub fn start(label: &str) -> Self {
        let (stop, stopped) = channel::<()>();
        let label = label.to_owned();
        let thread = std::thread::spawn(move || {
            let started = clock::now();
            let terminal = say::on_terminal();
            let pause = if terminal { ON_TERMINAL } else { ELSEWHERE };
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let line = format!("{label}: {} s", started.elapsed().as_secs());
                if terminal {
                    say::status(&line);
                } else {
                    say::talk(&line);
                }
            }
            if terminal {
                say::status("");
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
