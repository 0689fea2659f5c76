//! How much an operation asks for: depth, fields, aliases, directives and cost, with every
//! fragment counted wherever it is spread.
//!
//! A fragment is measured once and its measure added at each spread, so that fragments which
//! spread each other twice over cost a pass over the text, not a number of passes that doubles
//! with each of them. Counts saturate: a number too large to hold is past every limit.

use crate::policy::contract::graphql::Rule;
use crate::policy::contract::graphql::document::{Document, OperationType, Selected, Selection};
use crate::policy::contract::graphql::sizes::{Sizes, Variables};
use crate::policy::contract::graphql::weights::Weights;

/// What an operation or fragment asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measure {
    /// Fields inside of each other.
    pub depth: u64,
    pub fields: u64,
    /// Fields that are not inside of another.
    pub root_fields: u64,
    pub aliases: u64,
    pub directives: u64,
    pub cost: u64,
}

/// What a measurement reuses.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// By the index of the fragment: whether it was begun, and its measure when it is done.
    fragments: Vec<State>,
    measures: Vec<Measure>,
    /// Fragments in an order in which each comes after those that it spreads.
    order: Vec<usize>,
    /// Fragments under way, and the selection that comes next in each.
    path: Vec<(usize, usize)>,
    open: Vec<Open>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    New,
    Begun,
    Done,
}

/// A selection whose own selections are being counted.
#[derive(Clone, Debug)]
struct Open {
    end: usize,
    depth: u64,
    /// How often what is inside is asked for.
    times: u64,
    /// The index of the type that it is on, where that is known.
    on: Option<usize>,
    is_root: bool,
}

/// What a measurement looks things up in.
#[derive(Clone, Copy)]
pub struct Scales<'s> {
    pub text: &'s str,
    pub weights: &'s Weights,
    pub sizes: &'s Sizes,
    pub variables: &'s Variables,
}

impl Memory {
    /// Puts the fragments of a document in order.
    ///
    /// # Errors
    /// Spreads of a fragment that is not there, and fragments that come to spread themselves
    /// (section 5.5.2), wherever they are, used or not.
    pub fn arrange(&mut self, document: &Document, text: &str) -> Result<(), Rule> {
        let count = document.fragments.len();
        self.fragments.clear();
        self.fragments.resize(count, State::New);
        self.measures.clear();
        self.measures.resize(count, Measure::default());
        self.order.clear();
        for index in 0..count {
            self.visit(document, text, index)?;
        }
        let selected = |selection: &&Selection| selection.selected == Selected::Spread;
        let mut spreads = document.selections.iter().filter(selected);
        match spreads.all(|spread| target(document, text, spread).is_some()) {
            true => Ok(()),
            false => Err("unknown-fragment"),
        }
    }

    /// Depth first, on a path of its own.
    fn visit(&mut self, document: &Document, text: &str, first: usize) -> Result<(), Rule> {
        if self.fragments[first] == State::Done {
            return Ok(());
        }
        self.path.clear();
        self.begin(document, first);
        while let Some((fragment, next)) = self.path.last_mut() {
            let end = document.fragments[*fragment].selections.end;
            let mut rest = document.selections[*next..end].iter();
            let Some(at) = rest.position(|each| each.selected == Selected::Spread) else {
                self.fragments[*fragment] = State::Done;
                self.order.push(*fragment);
                self.path.pop();
                continue;
            };
            let spread = &document.selections[*next + at];
            *next += at + 1;
            let index = target(document, text, spread).ok_or("unknown-fragment")?;
            match self.fragments[index] {
                State::New => self.begin(document, index),
                State::Begun => return Err("fragment-cycle"),
                State::Done => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self, document: &Document, fragment: usize) {
        self.fragments[fragment] = State::Begun;
        let start = document.fragments[fragment].selections.start;
        self.path.push((fragment, start));
    }

    /// Measures one operation of a document that was arranged.
    pub fn measure(
        &mut self,
        document: &Document,
        operation: usize,
        scales: Scales<'_>,
    ) -> Measure {
        for at in 0..self.order.len() {
            let index = self.order[at];
            let fragment = &document.fragments[index];
            let on = scales.weights.type_named(&scales.text[fragment.on.clone()]);
            let range = fragment.selections.clone();
            let mut measure = self.count(document, range, on, scales);
            measure.directives = measure
                .directives
                .saturating_add(fragment.directives as u64);
            self.measures[index] = measure;
        }
        let operation = &document.operations[operation];
        let root = match operation.kind {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let on = scales.weights.type_named(root);
        let range = operation.selections.clone();
        let mut measure = self.count(document, range, on, scales);
        measure.directives = measure
            .directives
            .saturating_add(operation.directives as u64);
        measure
    }

    fn count(
        &mut self,
        document: &Document,
        range: std::ops::Range<usize>,
        on: Option<usize>,
        scales: Scales<'_>,
    ) -> Measure {
        let mut total = Measure::default();
        self.open.clear();
        let mut around = Open {
            end: range.end,
            depth: 0,
            times: 1,
            on,
            is_root: true,
        };
        for index in range {
            while index >= around.end {
                // The outermost ends with the range.
                around = self.open.pop().unwrap_or(around);
            }
            let selection = &document.selections[index];
            let mut inside = Open {
                end: selection.end,
                ..around.clone()
            };
            let mut own = Measure {
                directives: selection.directives as u64,
                ..Measure::default()
            };
            match selection.selected {
                Selected::Field { is_aliased } => {
                    let name = &scales.text[selection.name.clone()];
                    let arguments = &document.arguments[selection.arguments.clone()];
                    let size = scales
                        .sizes
                        .of(scales.text, name, arguments, scales.variables);
                    inside.times = around.times.saturating_mul(size);
                    own.depth = 1;
                    own.fields = 1;
                    own.aliases = u64::from(is_aliased);
                    own.root_fields = 1;
                    own.cost = scales.weights.of(around.on, name).saturating_mul(size);
                    inside.depth += 1;
                    inside.on = None;
                    inside.is_root = false;
                }
                Selected::Inline => {
                    if !selection.name.is_empty() {
                        let name = &scales.text[selection.name.clone()];
                        inside.on = scales.weights.type_named(name);
                    }
                }
                Selected::Spread => {
                    // `arrange` has found all of them.
                    let fragment = target(document, scales.text, selection);
                    let measure = fragment.map(|index| self.measures[index]);
                    own = own.plus(measure.unwrap_or_default());
                }
            }
            total = total.with(own, &around);
            if inside.end > index + 1 {
                self.open.push(around);
                around = inside;
            }
        }
        total
    }
}

impl Measure {
    fn plus(self, other: Measure) -> Measure {
        Measure {
            depth: self.depth.max(other.depth),
            fields: self.fields.saturating_add(other.fields),
            root_fields: self.root_fields.saturating_add(other.root_fields),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            cost: self.cost.saturating_add(other.cost),
        }
    }

    /// Adds what was found inside of `around`.
    fn with(self, found: Measure, around: &Open) -> Measure {
        self.plus(Measure {
            depth: found.depth.saturating_add(around.depth),
            root_fields: if around.is_root { found.root_fields } else { 0 },
            cost: found.cost.saturating_mul(around.times),
            ..found
        })
    }
}

/// The index of the fragment that is spread.
fn target(document: &Document, text: &str, spread: &Selection) -> Option<usize> {
    let name = &text[spread.name.clone()];
    let mut fragments = document.fragments.iter();
    fragments.position(|fragment| &text[fragment.name.clone()] == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn measured(text: &str, weights: &[(&str, u64)]) -> Result<Measure, Rule> {
        let mut document = Document::default();
        document.read(text, 10_000)?;
        let mut memory = Memory::default();
        memory.arrange(&document, text)?;
        let sizes = Sizes::new(["first", "last", "limit"], [("all", 7)]);
        let mut variables = Variables::default();
        variables.read((text, &document), 0, "", &sizes);
        let weights = Weights::new(weights.iter().copied());
        let scales = Scales {
            text,
            weights: &weights,
            sizes: &sizes,
            variables: &variables,
        };
        Ok(memory.measure(&document, 0, scales))
    }

    #[test]
    fn fragments_count_where_they_are_spread() {
        let text = "{ a { ...F x: b ...F } ...F ... @d { c } } fragment F on T { e { f @d } }";
        let expected = Measure {
            depth: 3,
            fields: 3 * 2 + 3,
            root_fields: 3,
            aliases: 1,
            directives: 4,
            cost: 9,
        };
        assert_eq!(measured(text, &[]), Ok(expected));
    }

    #[test]
    fn cost_is_weight_by_the_size_of_lists() {
        let cost = |text: &str| {
            let weights = [("Query.a", 5), ("T.x", 100), ("x", 10), ("free", 0)];
            measured(text, &weights).map(|measure| measure.cost)
        };
        assert_eq!(cost("{ a }"), Ok(5));
        assert_eq!(cost("mutation { a }"), Ok(1));
        assert_eq!(cost("{ b { a } }"), Ok(2));
        assert_eq!(cost("{ b(first: 10) { x } }"), Ok(10 + 100));
        assert_eq!(cost("{ b(first: 10) { ... on T { x } } }"), Ok(10 + 1000));
        assert_eq!(
            cost("{ b(first: 10) { ...F } } fragment F on T { x }"),
            Ok(1010)
        );
        assert_eq!(
            cost("{ b(first: 3) { c(last: 4) { d } } }"),
            Ok(3 + 12 + 12)
        );
        assert_eq!(cost("{ all { free } }"), Ok(7));
        assert_eq!(cost("{ all(first: 2) { free } }"), Ok(2));
        assert_eq!(cost("{ free(first: 1000) }"), Ok(0));
        let many = "{ a(first: 18446744073709551615) { b(first: 9) } }";
        assert_eq!(cost(many), Ok(u64::MAX));
    }

    #[test]
    fn doubling_fragments_cost_one_pass() {
        let mut text = "{ ...F0 }".to_owned();
        for index in 0..60 {
            let next = index + 1;
            text += &format!(" fragment F{index} on T {{ ...F{next} ...F{next} }}");
        }
        text += " fragment F60 on T { a { b } }";
        let measure = measured(&text, &[]).unwrap();
        assert_eq!((measure.fields, measure.depth), (1 << 61, 2));
    }

    #[test]
    fn fragments_must_be_there_and_must_end() {
        for (bad, rule) in [
            ("{ ...F }", "unknown-fragment"),
            ("{ a } fragment F on T { ...G }", "unknown-fragment"),
            ("{ ...F } fragment F on T { ...F }", "fragment-cycle"),
            ("{ a } fragment F on T { b { ...F } }", "fragment-cycle"),
            (
                "{ ...A } fragment A on T { ...B } fragment B on T { c { ...A } }",
                "fragment-cycle",
            ),
        ] {
            assert_eq!(measured(bad, &[]), Err(rule), "{bad}");
        }
        let twice = "{ ...A ...B } fragment A on T { ...C } fragment B on T { ...C ...A } fragment C on T { x }";
        assert_eq!(measured(twice, &[]).unwrap().fields, 3);
    }

    /// Selections as a tree, counted by walking it.
    #[derive(Clone, Debug)]
    enum Tree {
        Field(bool, Vec<Tree>),
        Inline(Vec<Tree>),
        Spread,
    }

    fn tree() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(|aliased| Tree::Field(aliased, Vec::new())),
            Just(Tree::Spread),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let list = prop::collection::vec(inner, 1..4);
            prop_oneof![
                (any::<bool>(), list.clone())
                    .prop_map(|(aliased, list)| Tree::Field(aliased, list)),
                list.prop_map(Tree::Inline),
            ]
        })
    }

    fn write(list: &[Tree], out: &mut String) {
        out.push('{');
        for each in list {
            match each {
                Tree::Field(aliased, inside) => {
                    out.push_str(if *aliased { " x: f" } else { " f" });
                    if !inside.is_empty() {
                        write(inside, out);
                    }
                }
                Tree::Inline(inside) => {
                    out.push_str(" ...");
                    write(inside, out);
                }
                Tree::Spread => out.push_str(" ...F"),
            }
        }
        out.push('}');
    }

    fn walk(list: &[Tree], fragment: Measure, is_root: bool) -> Measure {
        let mut total = Measure::default();
        for each in list {
            let mut found = match each {
                Tree::Field(aliased, inside) => {
                    let below = walk(inside, fragment, false);
                    Measure {
                        depth: below.depth + 1,
                        fields: below.fields + 1,
                        root_fields: 1,
                        aliases: below.aliases + u64::from(*aliased),
                        directives: 0,
                        cost: below.cost + 1,
                    }
                }
                Tree::Inline(inside) => walk(inside, fragment, true),
                Tree::Spread => fragment,
            };
            if !is_root {
                found.root_fields = 0;
            }
            total = total.plus(found);
        }
        total
    }

    proptest! {
        #[test]
        fn measures_are_those_of_a_walk(
            main in prop::collection::vec(tree(), 1..5),
            fragment in prop::collection::vec(tree(), 1..4),
        ) {
            fn without_spreads(list: Vec<Tree>) -> Vec<Tree> {
                let each = list.into_iter().map(|each| match each {
                    Tree::Field(aliased, inside) => Tree::Field(aliased, without_spreads(inside)),
                    Tree::Inline(inside) => Tree::Inline(without_spreads(inside)),
                    Tree::Spread => Tree::Field(false, Vec::new()),
                });
                each.collect()
            }
            let fragment = without_spreads(fragment);
            let mut text = String::new();
            write(&main, &mut text);
            text.push_str(" fragment F on T ");
            write(&fragment, &mut text);
            let spread = walk(&fragment, Measure::default(), true);
            prop_assert_eq!(measured(&text, &[]), Ok(walk(&main, spread, true)), "{}", text);
        }
    }
}
