//! What only tests need of everything.
