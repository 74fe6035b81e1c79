//! The indexes of a ruleset: one for the host's layers, one for each member's own.
//!
//! A member's rules stand apart from the host's, so that what one member writes costs the visitors
//! of the others nothing. A site without rules of its own has no index and shares the host's; so
//! does a site whose `defaults` are adjusted, since adjusting changes numbers and never conditions.

use seawall_policy::code::Code;
use seawall_policy::diagnostic::Diagnostic;
use seawall_policy::index::{INDEX_ENTRIES_MAX, INDEX_TEXT_BYTES_MAX, Index, TooLarge, Walk};
use seawall_policy::program::{LevelId, Program, SiteLayer, Step};

use crate::http::SCHEMA;

/// The steps of the host's layers are numbered through: guarantee, floor, defaults.
#[derive(Debug)]
pub(crate) struct IndexPlan {
    host: Index,
    guarantee_end: u32,
    floor_end: u32,
    /// Members' own steps, where there are any.
    sites: Vec<Option<Index>>,
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

impl IndexPlan {
    pub(crate) fn new(program: &Program) -> Result<Self, TooLarge> {
        let layers = program.guarantee.iter().chain(&program.floor).chain(&program.defaults);
        let host = Index::new(program, &SCHEMA, layers)?;
        let sites = program.sites.iter().map(|site| own(program, site));
        let guarantee_end = count(&program.guarantee);
        Ok(Self {
            host,
            guarantee_end,
            floor_end: guarantee_end.saturating_add(count(&program.floor)),
            sites: sites.collect::<Result<_, _>>()?,
        })
    }

    /// Plans the members' layers that were put behind those it knows. Where one fails, none of them
    /// is known.
    pub(crate) fn extend(&mut self, program: &Program) -> Result<(), TooLarge> {
        let new = program.sites.iter().skip(self.sites.len());
        let new = new.map(|site| own(program, site)).collect::<Result<Vec<_>, _>>()?;
        self.sites.extend(new);
        Ok(())
    }

    /// Forgets all but the first members' layers.
    pub(crate) fn truncate(&mut self, sites: usize) {
        self.sites.truncate(sites);
    }

    pub(crate) fn summary(&self) -> IndexSummary {
        let own = self.sites.iter().flatten();
        let all = own.chain(std::iter::once(&self.host));
        all.fold(IndexSummary::default(), |sum, index| IndexSummary {
            always: sum.always.saturating_add(index.always().len()),
            bytes: sum.bytes.saturating_add(index.bytes()),
        })
    }

    /// A way through the host's layers, for one request.
    pub(crate) fn host(&self, level: LevelId) -> HostIndexWalk<'_> {
        HostIndexWalk { plan: self, walk: Walk::new(&self.host, level) }
    }

    /// A way through a member's own steps.
    pub(crate) fn site(&self, at: usize, level: LevelId) -> Option<Walk<'_>> {
        let own = self.sites.get(at)?.as_ref()?;
        Some(Walk::new(own, level))
    }
}

/// The index of a member's own steps.
fn own(program: &Program, site: &SiteLayer) -> Result<Option<Index>, TooLarge> {
    let some = !site.steps.is_empty();
    some.then(|| Index::new(program, &SCHEMA, site.steps.iter())).transpose()
}

/// A way through the host's layers in their order. It remembers what it has looked up from one
/// layer to the next.
pub(crate) struct HostIndexWalk<'p> {
    plan: &'p IndexPlan,
    walk: Walk<'p>,
}

/// A layer of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ServerLayer {
    Guarantee,
    Floor,
    /// As the host wrote it.
    Defaults,
}

impl HostIndexWalk<'_> {
    /// The place in the layer's steps of the next one that may apply.
    pub(crate) fn next<C: seawall_policy::eval::Context>(
        &mut self,
        layer: ServerLayer,
        program: &Program,
        ctx: &C,
    ) -> Option<usize> {
        let plan = self.plan;
        let (begin, end) = match layer {
            ServerLayer::Guarantee => (0, plan.guarantee_end),
            ServerLayer::Floor => (plan.guarantee_end, plan.floor_end),
            ServerLayer::Defaults => (plan.floor_end, u32::MAX),
        };
        Some(self.walk.next(end, program, ctx)?.saturating_sub(begin) as usize)
    }
}

/// An index that would be larger than it may be.
pub(crate) fn too_large(program: &Program, why: &TooLarge) -> Option<Diagnostic> {
    let rule = program.rules.get(why.rule.0 as usize)?;
    let message = format!(
        "with `{}` the rules hold {} values of {} bytes; {INDEX_ENTRIES_MAX} of \
         {INDEX_TEXT_BYTES_MAX} may be",
        rule.name, why.entries, why.bytes
    );
    let diagnostic = Diagnostic::error(Code::IndexTooLarge, rule.file, rule.span, message);
    Some(diagnostic.help("a large set belongs into a list file: `list … from \"file\"`"))
}
