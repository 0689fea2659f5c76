//! What every course runs on: the arms are started here, pinned to their core.

use crate::arm::{Arm, Setup};
use crate::backend::Backend;
use crate::bounds::Bounds;
use crate::generator::Generator;
use crate::workload::Workload;

pub struct Ground<'a> {
    pub setup: &'a Setup,
    pub workload: &'a Workload,
    pub backend: &'a Backend,
    pub bounds: &'a Bounds,
    pub connections: usize,
    pub is_quick: bool,
}

impl Ground<'_> {
    /// An arm that there must be.
    pub fn start(&self, name: &'static str) -> Result<Arm, String> {
        let started = Arm::start(name, self.setup, self.bounds)?;
        started.ok_or_else(|| format!("{name}: no binary found"))
    }

    /// Those that can be found; the others are told.
    pub fn start_found(&self, names: &[&'static str]) -> Result<Vec<Arm>, String> {
        let mut arms = Vec::new();
        for name in names {
            self.bounds.check()?;
            match Arm::start(name, self.setup, self.bounds)? {
                Some(arm) => arms.push(arm),
                None => eprintln!("loadtest: MISSING: {name}: no binary found"),
            }
        }
        Ok(arms)
    }

    pub fn generator(&self, arm: &Arm) -> Generator<'_> {
        Generator {
            address: arm.address,
            workload: self.workload,
            connections: self.connections,
            bounds: self.bounds,
        }
    }

    /// The long or the short of it.
    pub fn extent<T>(&self, long: T, quick: T) -> T {
        match self.is_quick {
            true => quick,
            false => long,
        }
    }
}
