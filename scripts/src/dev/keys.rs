//! Single keys from a terminal, without Enter. Nothing is read when there is no terminal.

use std::io::{IsTerminal, Read};
use std::sync::mpsc::{Receiver, channel};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};

/// Restores the terminal when dropped.
pub(super) struct Keys {
    before: Option<Termios>,
    pressed: Option<Receiver<u8>>,
}

impl Keys {
    pub(super) fn start() -> Self {
        let none = Self {
            before: None,
            pressed: None,
        };
        let stdin = std::io::stdin();
        // In the background even a look at the terminal's settings would stop the process.
        if !stdin.is_terminal() || tcgetpgrp(&stdin).ok() != Some(getpgrp()) {
            return none;
        }
        let Ok(before) = tcgetattr(&stdin) else {
            return none;
        };
        let mut single = before.clone();
        single
            .local_flags
            .remove(LocalFlags::ICANON | LocalFlags::ECHO);
        if tcsetattr(&stdin, SetArg::TCSANOW, &single).is_err() {
            return none;
        }
        let (keys, pressed) = channel();
        std::thread::spawn(move || {
            for key in std::io::stdin().lock().bytes().map_while(Result::ok) {
                if keys.send(key).is_err() {
                    return;
                }
            }
        });
        Self {
            before: Some(before),
            pressed: Some(pressed),
        }
    }

    pub(super) fn are_read(&self) -> bool {
        self.pressed.is_some()
    }

    pub(super) fn pressed(&self) -> Option<u8> {
        self.pressed.as_ref()?.try_recv().ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
