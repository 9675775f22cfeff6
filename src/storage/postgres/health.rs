use super::ServerUrl;
use crate::storage::{Checks, Finding};

pub(crate) fn check(_url: &ServerUrl, _checks: &Checks) -> Vec<Finding> {
    todo!()
}
