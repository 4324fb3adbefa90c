//! The layers around a small worker, seen through their effects.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod matrices;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod worker;
