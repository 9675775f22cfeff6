use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    ops::ControlFlow,
};

use crate::{
    click::{canonical_username, fold},
    storage::{Columns, Db, Error, Query, Selection},
    text::interner::GroupedInterner,
};

/// How many similar experts are named for a text that matches none.
const SIMILAR_MAX: usize = 3;

/// The experts that a text means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FoundExpert {
    /// The text is a username.
    Exact,
    /// The only expert whose username or name is the text in another case, or else contains it.
    One(NamedExpert),
    /// All such experts, by username; at least two.
    Several(Vec<NamedExpert>),
    /// No expert matches.
    None {
        /// The most similar first, at most [`SIMILAR_MAX`].
        similar: Vec<NamedExpert>,
        /// Whether `experts` lists any expert.
        has_list: bool,
    },
}

/// An expert for people: `jdoe (John Doe)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedExpert {
    /// In its canonical form.
    pub(crate) username: String,
    /// Empty if the expert is unknown or has no name.
    name: String,
}

impl Display for NamedExpert {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.username)?;
        if !self.name.is_empty() {
            write!(f, " ({})", self.name)?;
        }
        Ok(())
    }
}

/// Finds the experts that `text` means, whose username or name it is, or else is a part of: those of the list, and those who
/// were clicked.
///
/// If `text` is a username of the list, no click is read. If it is the username of a click, clicks are read up to the first one
/// on this expert, and otherwise all.
///
/// # Errors
/// When the database can't be read, and when memory is refused.
pub(crate) fn find_expert(db: &Db, text: &str) -> Result<FoundExpert, Error> {
    let username = canonical_username(text);
    let names = db.expert_names()?;
    if names.contains(&username) {
        return Ok(FoundExpert::Exact);
    }
    let mut clicked = GroupedInterner::new(canonical_username);
    let mut is_clicked = false;
    let all = Selection::default();
    db.read_clicks(&Query::of(&all, Columns::EXPERT_USERNAME), |click| {
        let expert = clicked.group(&click.expert_username)?;
        is_clicked = clicked.key(expert) == username;
        Ok(if is_clicked {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    if is_clicked {
        return Ok(FoundExpert::Exact);
    }
    let has_list = !names.is_empty();
    let mut experts: BTreeMap<String, String> = names.into_pairs().collect();
    for expert in clicked.keys() {
        experts.entry(expert.to_owned()).or_default();
    }
    let experts = experts.into_iter().map(Candidate::new).collect();
    Ok(search(experts, &fold(&username), has_list))
}

/// Finds the experts whom the folded `text` means, but for a username to the letter.
fn search(mut experts: Vec<Candidate>, text: &str, has_list: bool) -> FoundExpert {
    for is_match in [Candidate::is, Candidate::contains] {
        let mut found: Vec<NamedExpert> = experts
            .iter()
            .filter(|expert| is_match(expert, text))
            .map(|expert| expert.expert.clone())
            .collect();
        match found.len() {
            0 => {}
            1 => return FoundExpert::One(found.remove(0)),
            _ => return FoundExpert::Several(found),
        }
    }
    // A third, so a text of fewer than three characters is similar to none.
    let edits_max = text.chars().count() / 3;
    // A stable sort, so equally similar experts stay in the order of their usernames.
    experts.sort_by_cached_key(|expert| expert.edits(text, edits_max));
    let similar = experts
        .into_iter()
        .take_while(|expert| expert.edits(text, edits_max) <= edits_max)
        .take(SIMILAR_MAX)
        .map(|expert| expert.expert)
        .collect();
    FoundExpert::None { similar, has_list }
}

/// An expert with texts to compare.
struct Candidate {
    expert: NamedExpert,
    /// As [`fold`] does.
    folded: [String; 2],
}

impl Candidate {
    fn new((username, name): (String, String)) -> Self {
        Self {
            folded: [fold(&username).into_owned(), fold(&name).into_owned()],
            expert: NamedExpert { username, name },
        }
    }

    /// Whether the username or the name is the folded `text`.
    fn is(&self, text: &str) -> bool {
        !text.is_empty() && self.folded.iter().any(|own| own == text)
    }

    /// Whether the username or the name contains the folded `text`.
    fn contains(&self, text: &str) -> bool {
        !text.is_empty() && self.folded.iter().any(|own| own.contains(text))
    }

    /// The number of edits that make the folded `text` of the username, the name, or a word of either; more than `edits_max` if
    /// it is more than that.
    fn edits(&self, text: &str, edits_max: usize) -> usize {
        let length = text.chars().count();
        let words = self.folded.iter().flat_map(|own| {
            let words = own.split(|character: char| !character.is_alphanumeric());
            std::iter::once(&**own).chain(words)
        });
        words
            // Each edit changes the length by at most one.
            .filter(|word| !word.is_empty() && word.chars().count().abs_diff(length) <= edits_max)
            .map(|word| strsim::osa_distance(word, text))
            .min()
            .unwrap_or(usize::MAX)
    }
}
