//! The console in process: its pages, its browser session, and what the gateway decides.

#[cfg(test)]
mod forwards;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod house;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod session;
