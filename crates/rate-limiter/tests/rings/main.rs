//! Rings 0 and 1 of the limiter.

#[cfg(test)]
mod client;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod decision;
#[cfg(test)]
mod epochs;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod states;
#[cfg(test)]
mod support;
#[cfg(test)]
mod window;
