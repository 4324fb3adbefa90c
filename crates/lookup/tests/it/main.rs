//! The look-up on fakes: ages, crowds, outages, and the calls as they go over the binding.

#[cfg(test)]
mod ages;
#[cfg(test)]
mod common;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod races;
#[cfg(test)]
mod service;
