//! Makes captures for mailsnare's tests and benches: seeded, inert, re-runnable.
