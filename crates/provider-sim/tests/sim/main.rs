//! The simulator over HTTP: contracts, scenarios, accounting, control calls, the program.

// `cfg(test)` is what tells clippy that the modules are test code too.
#[cfg(test)]
mod accounting;
#[cfg(test)]
mod client;
#[cfg(test)]
mod control;
#[cfg(test)]
mod ideogram;
#[cfg(test)]
mod localai;
#[cfg(test)]
mod openai;
#[cfg(test)]
mod program;
#[cfg(test)]
mod scenarios;
