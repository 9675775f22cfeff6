use super::ServerUrl;
use crate::{
    expert::ExpertNames,
    storage::{Error, NewClicks, Selection},
};

#[derive(Debug)]
pub(crate) struct Feed;

impl Feed {
    pub(crate) fn start(_url: &ServerUrl, _selection: Selection) -> Result<Self, Error> {
        todo!()
    }

    pub(crate) fn name(&self) -> String {
        todo!()
    }

    pub(crate) fn names(&self) -> &ExpertNames {
        todo!()
    }

    pub(crate) fn next_batch(&mut self) -> Result<NewClicks, Error> {
        todo!()
    }
}
