//! Values of a schema that a body is compared with, their numbers as they are written.

use super::number::Exact;

#[derive(Clone, Debug)]
pub enum Literal {
    Null,
    Bool(bool),
    Number(Exact),
    Text(Box<str>),
    List(Box<[Literal]>),
    /// Sorted by name.
    Members(Box<[(Box<str>, Literal)]>),
}

impl Literal {
    /// The member of an object.
    pub fn member(members: &[(Box<str>, Literal)], name: &str) -> Option<usize> {
        members.binary_search_by(|(own, _)| (**own).cmp(name)).ok()
    }
}
