use super::ServerUrl;
use crate::{
    storage::{Depth, Finding},
    timestamp::Timestamp,
};

pub(crate) fn check(_url: &ServerUrl, _depth: Depth, _now: Timestamp) -> Vec<Finding> {
    todo!()
}
