//! The indexes of a ruleset: one for the host's layers, one for each member's own.
//!
//! A member's rules stand apart from the host's, so that what one member writes costs the visitors
//! of the others nothing. A site without rules of its own has no index and shares the host's; so
//! does a site whose `defaults` are adjusted, since adjusting changes numbers and never conditions.

use std::collections::HashMap;

use seawall_model::RuleId;
use seawall_policy::index::{Index, TooLarge, Walk};
use seawall_policy::program::{LevelId, Program, SiteLayer, Step};

use crate::http::SCHEMA;

/// The steps of the host's layers are numbered through: guarantee, floor, defaults.
#[derive(Debug)]
pub(crate) struct Plan {
    host: Index,
    guarantee_end: u32,
    floor_end: u32,
    sites: Box<[SitePlan]>,
}

/// What a member changes.
#[derive(Debug, Default)]
struct SitePlan {
    /// The member's own steps, where there are any.
    own: Option<Index>,
    /// For each step of `defaults`, its place in the member's copy.
    adjusted: Option<Box<[Option<u32>]>>,
}

/// What a site makes of one of the host's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adjusted {
    /// Nothing.
    Same,
    /// The step at this place of its copy.
    By(usize),
    /// It is left out.
    Disabled,
}

/// What an index costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSummary {
    /// Rules that every request is held against.
    pub always: usize,
    /// About how much memory all indexes take, in bytes.
    pub bytes: usize,
}

fn count(steps: &[Step]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

impl Plan {
    pub(crate) fn new(program: &Program) -> Result<Self, TooLarge> {
        let layers = program.guarantee.iter().chain(&program.floor).chain(&program.defaults);
        let host = Index::new(program, &SCHEMA, layers)?;
        let sites = program.sites.iter().map(|site| SitePlan::new(program, site));
        let guarantee_end = count(&program.guarantee);
        Ok(Self {
            host,
            guarantee_end,
            floor_end: guarantee_end.saturating_add(count(&program.floor)),
            sites: sites.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn summary(&self) -> IndexSummary {
        let own = self.sites.iter().filter_map(|site| site.own.as_ref());
        let all = own.chain(std::iter::once(&self.host));
        all.fold(IndexSummary::default(), |sum, index| IndexSummary {
            always: sum.always.saturating_add(index.always().len()),
            bytes: sum.bytes.saturating_add(index.bytes()),
        })
    }

    /// A way through the host's layers, for one request.
    pub(crate) fn host(&self, level: LevelId) -> HostWalk<'_> {
        HostWalk { plan: self, walk: Walk::new(&self.host, level) }
    }

    /// Whether a site changes anything of the host's defaults.
    pub(crate) fn adjusts(&self, site: usize) -> bool {
        self.sites.get(site).is_some_and(|site| site.adjusted.is_some())
    }

    /// Which step of a site's copy of `defaults` stands for the host's at `at`.
    pub(crate) fn adjusted(&self, site: usize, at: usize) -> Adjusted {
        match self.sites.get(site).and_then(|site| site.adjusted.as_ref()) {
            None => Adjusted::Same,
            Some(places) => match places.get(at).copied().flatten() {
                Some(place) => Adjusted::By(place as usize),
                None => Adjusted::Disabled,
            },
        }
    }

    /// A way through a member's own steps.
    pub(crate) fn site(&self, at: usize, level: LevelId) -> Option<Walk<'_>> {
        let own = self.sites.get(at)?.own.as_ref()?;
        Some(Walk::new(own, level))
    }
}

impl SitePlan {
    fn new(program: &Program, site: &SiteLayer) -> Result<Self, TooLarge> {
        let own = (!site.steps.is_empty())
            .then(|| Index::new(program, &SCHEMA, site.steps.iter()))
            .transpose()?;
        let adjusted = site.defaults.as_ref().map(|steps| {
            let own = (0_u32..).zip(steps).map(|(at, step)| (step.rule, at));
            let places: HashMap<RuleId, u32> = own.collect();
            program.defaults.iter().map(|step| places.get(&step.rule).copied()).collect()
        });
        Ok(Self { own, adjusted })
    }
}

/// A way through the host's layers in their order. It remembers what it has looked up from one
/// layer to the next.
pub(crate) struct HostWalk<'p> {
    plan: &'p Plan,
    walk: Walk<'p>,
}

/// A layer of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HostLayer {
    Guarantee,
    Floor,
    Defaults,
}

impl HostWalk<'_> {
    /// The place in the layer's steps of the next one that may apply.
    pub(crate) fn next<C: seawall_policy::run::Context>(
        &mut self,
        layer: HostLayer,
        program: &Program,
        ctx: &C,
    ) -> Option<usize> {
        let plan = self.plan;
        let (begin, end) = match layer {
            HostLayer::Guarantee => (0, plan.guarantee_end),
            HostLayer::Floor => (plan.guarantee_end, plan.floor_end),
            HostLayer::Defaults => (plan.floor_end, u32::MAX),
        };
        Some(self.walk.next(end, program, ctx)?.saturating_sub(begin) as usize)
    }
}
