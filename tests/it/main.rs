//! Tests of the whole: one binary, one module per feature.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agreement;
mod answers;
mod backtracking;
mod bodies;
mod check;
mod connection;
mod exchange;
mod faults;
mod fuzz;
mod fuzz_waf;
mod gateway;
mod golden;
mod golden_responses;
mod graphql;
mod held;
mod import;
mod inspector;
mod json_schema;
mod layers;
mod leak;
mod leaving;
mod listener;
mod newcomer;
mod operation;
mod process;
#[path = "../../src/policy/contract/schema/walk/edits/reference.rs"]
mod reference;
mod setup;
mod smuggling;
mod streaming;
mod streaming_answers;
mod suite;
mod tls;
mod upstream;
mod upstream_tls;
mod violations;
mod waf;
mod waf_answers;
mod waf_budget;
mod waf_bypass;
mod waf_records;
mod waf_rules;
mod websocket;
