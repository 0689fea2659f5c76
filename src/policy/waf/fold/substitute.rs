//! Fixed variables in texts.

use ahash::AHashSet;

use crate::policy::waf::fold::constant::Constants;
use crate::policy::waf::template::{Piece, Reference, Slot, Template};

/// Writes what fixed variables hold in place of their names.
pub fn fixed(template: &mut Template, constants: &Constants, volatile: &AHashSet<Slot>) {
    let pieces = std::mem::take(&mut template.pieces);
    for piece in pieces {
        match piece {
            Piece::Reference(Reference::Tx(slot)) if !volatile.contains(&slot) => {
                template.push_text(constants.of(slot).unwrap_or_default());
            }
            Piece::Text(text) => template.push_text(&text),
            other => template.pieces.push(other),
        }
    }
}
