//! The indexes of a rule set: one for the operator's layers, and one for each member's own.
//!
//! A member's rules are separate, so that they cost the clients of other members nothing. A site
//! without rules of its own has no index and uses the operator's. A site with adjusted `defaults`
//! does too, because an adjustment changes numbers but no conditions.

use seawall_policy::code::Code;
use seawall_policy::diagnostic::Diagnostic;
use seawall_policy::index::{INDEX_ENTRIES_MAX, INDEX_TEXT_BYTES_MAX, Index, TooLarge, Walk};
use seawall_policy::program::{LevelId, Program, SiteLayer, Step};

use crate::http::SCHEMA;

/// The steps of the operator's layers are numbered consecutively: guarantee, floor, defaults.
#[derive(Debug)]
pub(crate) struct IndexPlan {
    host: Index,
    guarantee_end: u32,
    floor_end: u32,
    /// Indexes of members' own steps, if they have any.
    sites: Vec<Option<Index>>,
}

/// The size of the indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexSummary {
    /// Rules that are evaluated for every request.
    pub always: usize,
    /// Approximate memory of all indexes in bytes.
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

    /// Adds indexes for the members' layers at the end of the program. If one fails, none is added.
    pub(crate) fn extend(&mut self, program: &Program) -> Result<(), TooLarge> {
        let new = program.sites.iter().skip(self.sites.len());
        let new = new.map(|site| own(program, site)).collect::<Result<Vec<_>, _>>()?;
        self.sites.extend(new);
        Ok(())
    }

    /// Keeps the first `sites` members' layers only.
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

    /// Starts a walk through the operator's layers, for one request.
    pub(crate) fn host(&self, level: LevelId) -> HostIndexWalk<'_> {
        HostIndexWalk { plan: self, walk: Walk::new(&self.host, level) }
    }

    /// Starts a walk through a member's own steps.
    pub(crate) fn site(&self, at: usize, level: LevelId) -> Option<Walk<'_>> {
        let own = self.sites.get(at)?.as_ref()?;
        Some(Walk::new(own, level))
    }
}

/// Returns the index of a member's own steps.
fn own(program: &Program, site: &SiteLayer) -> Result<Option<Index>, TooLarge> {
    let some = !site.steps.is_empty();
    some.then(|| Index::new(program, &SCHEMA, site.steps.iter())).transpose()
}

/// A walk through the operator's layers in their order. It keeps its look-ups from layer to layer.
pub(crate) struct HostIndexWalk<'p> {
    plan: &'p IndexPlan,
    walk: Walk<'p>,
}

/// A layer of the operator.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ServerLayer {
    Guarantee,
    Floor,
    /// Without changes of a site.
    Defaults,
}

impl HostIndexWalk<'_> {
    /// Returns the position in the layer of the next step that may apply.
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

/// Returns the diagnostic about an index above its limit.
pub(crate) fn too_large(program: &Program, why: &TooLarge) -> Option<Diagnostic> {
    let rule = program.rules.get(why.rule.0 as usize)?;
    let message = format!(
        "with `{}` the rules contain {} values of {} bytes; the maximum is {INDEX_ENTRIES_MAX} \
         values of {INDEX_TEXT_BYTES_MAX} bytes",
        rule.name, why.entries, why.bytes
    );
    let diagnostic = Diagnostic::error(Code::IndexTooLarge, rule.file, rule.span, message);
    Some(diagnostic.help("move a large set to a list file: `list … = file \"…\"`"))
}
