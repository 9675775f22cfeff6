//! `leadclicks schema`

use clap::Args;

use super::hidden_db;
use crate::{
    cli::{failure::Failure, output},
    storage::POSTGRES_SCHEMA,
};

/// Print the tables for PostgreSQL
///
/// leadclicksd creates the tables of an SQLite database by itself, but never those of a server: the user as whom it connects
/// needs no right to. All statements are IF NOT EXISTS.
#[derive(Debug, Args)]
#[command(
    arg = hidden_db(),
    after_help = "\
Examples:
  leadclicks schema
  leadclicks schema > lead_clicks.sql"
)]
pub(super) struct SchemaArgs {}

pub(super) fn run(_: &SchemaArgs) -> Result<(), Failure> {
    Ok(output::ignore_closed_pipe(output::say(
        POSTGRES_SCHEMA.trim_end(),
    ))?)
}
