//! What fields cost, by their names.
//!
//! No schema is known here, so `Type.field` counts where the document itself tells the type: at
//! the root of an operation (`Query`, `Mutation`, `Subscription`) and directly inside of a
//! fragment on that type. Elsewhere the weight of the plain name counts.

use ahash::AHashMap;

/// Weights of fields; 1 where none is given.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    types: AHashMap<Box<str>, usize>,
    fields: AHashMap<Box<str>, Field>,
}

#[derive(Clone, Debug, Default)]
struct Field {
    anywhere: Option<u64>,
    /// By the index of the type.
    on: Vec<(usize, u64)>,
}

impl Weights {
    /// By `field` or `Type.field`.
    pub fn new<'n>(weights: impl IntoIterator<Item = (&'n str, u64)>) -> Weights {
        let mut all = Weights::default();
        for (name, weight) in weights {
            match name.split_once('.') {
                Some((on, name)) => {
                    let next = all.types.len();
                    let on = *all.types.entry(on.into()).or_insert(next);
                    let field = all.fields.entry(name.into()).or_default();
                    field.on.push((on, weight));
                }
                None => all.fields.entry(name.into()).or_default().anywhere = Some(weight),
            }
        }
        all
    }

    /// The index of a type that weights are given for.
    pub fn type_named(&self, name: &str) -> Option<usize> {
        self.types.get(name).copied()
    }

    /// What a field costs, on a type if that is known.
    pub fn of(&self, on: Option<usize>, name: &str) -> u64 {
        let Some(field) = self.fields.get(name) else {
            return 1;
        };
        let mut exact = field.on.iter();
        let exact = exact.find(|(index, _)| Some(*index) == on);
        let exact = exact.map(|(_, weight)| *weight);
        exact.or(field.anywhere).unwrap_or(1)
    }
}
