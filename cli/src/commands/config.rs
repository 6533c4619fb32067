//! `icefold config`: the settings in force and where each comes from.

use icefold_core::Result;

use crate::config;
use crate::exit::Exit;
use crate::session::Session;

/// Runs the command.
pub(crate) fn run(session: &Session) -> Result<Exit> {
    session.output.result(&config::shown(&session.config), || config::text(&session.config))?;
    Ok(Exit::Done)
}
