//! Arguments to a command; one file per command.

mod check;
mod demo;
mod diagnose;
mod import;
mod inherited;
mod listeners;
mod process;
mod refused;
mod run;
mod table;
mod token;
mod unseen;
mod upgrade;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An API security gateway: what the OpenAPI document does not declare does not exist.
#[derive(Parser)]
#[command(version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Begin here:
  portcullis demo                                  see every decision on a small banking API
  portcullis import openapi.yaml -o gateway.toml   write a configuration for your own API
  portcullis check --config config/gateway.toml    what is wrong with a configuration, and where
  portcullis run --config config/gateway.toml      protect your own backend

Signals to `run`: SIGHUP loads the configuration again, SIGTERM finishes what is open and ends.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage.";

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    #[command(override_usage = "portcullis run [--config FILE]")]
    Run {
        /// The configuration
        #[arg(
            long,
            short,
            value_name = "FILE",
            default_value = "config/gateway.toml"
        )]
        config: PathBuf,
    },
    /// Say everything that is wrong with a configuration; list what it opens when nothing is
    Check(check::Options),
    /// Write a configuration to begin with from an OpenAPI document
    Import(import::Options),
    /// Mint a signed token from a local key, for trying things out
    Token(Box<token::Options>),
    /// Start everything on loopback: the gateway, a small banking API behind it, an issuer of tokens
    Demo(demo::Options),
}

/// Runs the command that was asked for.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Run { config } => run::run(&config),
        Command::Check(options) => check::check(&options),
        Command::Import(options) => import::import(&options),
        Command::Token(options) => token::token(&options),
        Command::Demo(options) => demo::demo(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}
