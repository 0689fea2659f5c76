//! How much of a collection one request may ask for.
//!
//! The size of a page is a parameter of the query. What is not a plain number, or is given twice,
//! asks for nobody knows how much.

use crate::policy::contract::Scratch;
use crate::policy::denial::Denial;
use crate::proto::query;

/// The parameter that says how many items are wanted.
#[derive(Clone, Debug)]
pub struct Page {
    name: Box<str>,
    most: usize,
    /// Sent on where the client does not say: `name=value`.
    default: Option<Box<[u8]>>,
}

impl Page {
    /// `default` is sent on for a client that does not say how much it wants.
    pub fn new(name: &str, most: usize, default: Option<usize>) -> Page {
        let pair = |value: usize| {
            let mut pair = Vec::new();
            query::encode(name, &mut pair);
            pair.push(b'=');
            pair.extend_from_slice(value.to_string().as_bytes());
            pair.into()
        };
        Page {
            name: name.into(),
            most,
            default: default.map(pair),
        }
    }

    pub(super) fn check(&self, query: &[u8], scratch: &mut Scratch) -> Result<(), Denial> {
        let mut values = self.values(query);
        let (first, second) = (values.next(), values.next());
        let Some(value) = first else {
            return Ok(());
        };
        let size = query::decode(value).ok().filter(|_| second.is_none());
        let size = size.and_then(|text| plain(&text));
        match size {
            Some(size) if size <= self.most => Ok(()),
            _ => Err(scratch.refuse(Denial::InvalidParameter, "query", &self.name, "collection")),
        }
    }

    /// What is added to a query that does not say how much is wanted.
    pub fn added(&self, query: &[u8]) -> Option<&[u8]> {
        let default = self.default.as_deref()?;
        self.values(query).next().is_none().then_some(default)
    }

    fn values<'a>(&self, query: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let own = query::pairs(query)
            .filter(|(name, _)| query::decode(name).is_ok_and(|name| *name == *self.name));
        own.map(|(_, value)| value)
    }
}

/// A number of nothing but digits.
fn plain(text: &str) -> Option<usize> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_size_that_is_allowed_or_none() {
        let page = Page::new("page size", 100, Some(20));
        let check = |query: &str| page.check(query.as_bytes(), &mut Scratch::default());
        for good in [
            "",
            "a=1",
            "page+size=100",
            "page%20size=0",
            "page+size=0007",
            "pagesize=9999",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "page+size=101",
            "page+size=1e2",
            "page+size=%2B5",
            "page+size=-1",
            "page+size=",
            "page+size=1.0",
            "page+size=5&page%20size=5",
            "page+size=99999999999999999999999999",
            "page+size=%",
        ] {
            assert_eq!(check(bad), Err(Denial::InvalidParameter), "{bad}");
        }
    }

    #[test]
    fn a_default_is_added_where_nobody_asks() {
        let page = Page::new("page size&", 100, Some(20));
        assert_eq!(page.added(b"a=1"), Some(&b"page%20size%26=20"[..]));
        assert_eq!(page.added(b"page+size%26=5"), None);
        assert_eq!(Page::new("n", 100, None).added(b""), None);
    }
}
