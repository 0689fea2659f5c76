//! Tests of the whole: one binary, one module per feature.

mod exchange;
mod gateway;
mod layers;
