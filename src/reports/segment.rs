use std::time::Duration;

use crate::{
    click::canonical_email,
    storage::{Columns, Db, Error, LeadSet, Order, Query, Selection, Window},
    text::{
        groups::TextGroups,
        memory::{self, OutOfMemory},
    },
    timestamp::Timestamp,
};

use super::for_each_click;

/// Conditions on leads that no single click decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The canonical usernames of experts whom the leads have not clicked within the window.
    pub(crate) not_experts: Vec<String>,
    pub(crate) history: History,
}

/// What the clicks of a lead before the window should be. All clicks count, whatever the expert and the search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum History {
    #[default]
    Any,
    /// The lead's first click is in the window.
    New,
    /// A click in the window follows a pause of at least so long.
    Returning(Duration),
}

impl Segment {
    /// `selection`, and only the leads of this segment.
    ///
    /// Reads the clicks on [`Segment::not_experts`] in the window, and for a [`History`] all clicks up to its end. Needs 20 to 39 bytes of
    /// memory for each different spelling of an email, and 10 more for each lead.
    ///
    /// # Errors
    /// When the database can't be read, or holds a click whose time can't be read, and when memory is refused.
    pub(crate) fn select(&self, db: &Db, selection: &Selection) -> Result<Selection, Error> {
        if *self == Self::default() {
            return Ok(selection.clone());
        }
        let mut emails = TextGroups::new(canonical_email);
        let window = selection.window;
        let mut are_in = match self.history {
            History::Any => Vec::new(),
            History::New => new_leads(db, window, &mut emails)?,
            History::Returning(pause) => returning_leads(db, window, pause, &mut emails)?,
        };
        let are_others_in = self.history == History::Any;
        if !self.not_experts.is_empty() {
            let on_others = Selection {
                window,
                experts: self.not_experts.clone(),
                ..Selection::default()
            };
            for_each_click(db, &Query::of(&on_others, Columns::EMAIL), |click| {
                let email = emails.group(&click.email)?;
                *entry(&mut are_in, email, false)? = false;
                Ok(())
            })?;
        }
        let leads = LeadSet::new(emails, are_in, are_others_in);
        Ok(Selection {
            leads: Some(leads),
            ..selection.clone()
        })
    }
}

/// Marks the leads whose first click is in the window.
fn new_leads(db: &Db, window: Window, emails: &mut TextGroups) -> Result<Vec<bool>, Error> {
    let mut first_at: Vec<Timestamp> = Vec::new();
    let all = up_to_end(window);
    let query = Query::of(&all, Columns::EMAIL | Columns::CREATED_AT);
    for_each_click(db, &query, |click| {
        let email = emails.group(&click.email)?;
        let first_at = entry(&mut first_at, email, click.created_at)?;
        *first_at = click.created_at.min(*first_at);
        Ok(())
    })?;
    let mut are_in = Vec::new();
    memory::reserve(&mut are_in, first_at.len()).map_err(|refused| db.error(refused))?;
    are_in.extend(
        first_at
            .into_iter()
            .map(|first_at| window.contains(first_at)),
    );
    Ok(are_in)
}

/// Marks the leads with a click in the window that follows a pause.
fn returning_leads(
    db: &Db,
    window: Window,
    pause: Duration,
    emails: &mut TextGroups,
) -> Result<Vec<bool>, Error> {
    // The click that was read last, which is the next one in time.
    let mut next_at: Vec<Timestamp> = Vec::new();
    let mut are_in: Vec<bool> = Vec::new();
    let all = up_to_end(window);
    let query = Query::of(&all, Columns::EMAIL | Columns::CREATED_AT).in_order(Order::NewestFirst);
    for_each_click(db, &query, |click| {
        let email = emails.group(&click.email)?;
        let next_at = entry(&mut next_at, email, click.created_at)?;
        let is_in = entry(&mut are_in, email, false)?;
        *is_in |= window.contains(*next_at) && next_at.since(click.created_at) >= pause;
        *next_at = click.created_at;
        Ok(())
    })?;
    Ok(are_in)
}

fn up_to_end(window: Window) -> Selection {
    Selection::of(Window {
        since: None,
        ..window
    })
}

/// The element with this number, which is `new` if it is the next one.
fn entry<T: Copy>(elements: &mut Vec<T>, number: u32, new: T) -> Result<&mut T, OutOfMemory> {
    let number = number as usize;
    while elements.len() <= number {
        memory::push(elements, new)?;
    }
    Ok(&mut elements[number])
}
