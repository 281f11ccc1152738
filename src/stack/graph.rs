//! Walks the steps in the order their needs allow, independent ones at the same time: for `install`, `configure` and
//! `uninstall`, and for what they would do.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, FutureExt, join_all, select};
use futures::stream::{FuturesUnordered, StreamExt};

use crate::error::{self, Failure, Kind};
use crate::output::progress::{Event, Progress, Report};

use super::Stack;
use super::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use super::versions::Component;

/// Steps in an order in which each comes after all it needs.
pub struct Graph {
    steps: Vec<Box<dyn Step>>,
}

/// A look at a step that began with the walk.
type Early = oneshot::Receiver<Result<Observed>>;

/// How a step of a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    True,
    /// Asked for but not true yet: steps that need it are left for a later run.
    Pending,
    Failed,
    Skipped,
}

/// What a walk came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Steps that were changed in this run.
    pub changed: Vec<StepId>,
    /// Steps that are not true yet because nobody waited for them.
    pub pending: Vec<StepId>,
    pub took: Duration,
    /// How long the slowest chain of steps took: no number of cores makes the walk faster than this.
    pub longest_chain: Duration,
}

/// What a run would do to one step.
pub struct Planned<'a> {
    pub step: &'a dyn Step,
    pub finding: Finding,
}

pub enum Finding {
    Seen(Observed),
    /// Cannot be looked at before another step is true.
    After(StepId),
}

impl Finding {
    /// Whether steps that need this one can be looked at. What this user may not look at is taken for true, as a run does.
    fn lets_go_on(&self) -> bool {
        matches!(self, Self::Seen(Observed::Ok(_) | Observed::Unknown { .. }))
    }
}

impl Graph {
    /// Fails on a step that needs one that is not there, and on a circle: both are mistakes in `steps/`.
    pub fn new(steps: Vec<Box<dyn Step>>) -> Result<Self> {
        let mut ordered: Vec<Box<dyn Step>> = Vec::with_capacity(steps.len());
        let mut placed = BTreeSet::new();
        let mut left = steps;
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|step| step.needs().iter().all(|need| placed.contains(need)));
            if ready.is_empty() {
                let stuck: Vec<_> = later.iter().map(|step| step.id()).collect();
                return Err(anyhow!(
                    "steps {} need steps that are not there or each other",
                    stuck.join(", ")
                ));
            }
            placed.extend(ready.iter().map(|step| step.id()));
            ordered.extend(ready);
            left = later;
        }
        Ok(Self { steps: ordered })
    }

    /// Only the steps that `wanted` names, and all that these need.
    pub fn only(self, wanted: impl Fn(StepId) -> bool) -> Self {
        let mut keep: BTreeSet<StepId> = BTreeSet::new();
        for step in self.steps.iter().rev() {
            if wanted(step.id()) || keep.contains(step.id()) {
                keep.insert(step.id());
                keep.extend(step.needs());
            }
        }
        Self { steps: self.steps.into_iter().filter(|step| keep.contains(step.id())).collect() }
    }

    /// All steps but these; what needs one of them no longer waits for it.
    pub fn without(mut self, unwanted: impl Fn(StepId) -> bool) -> Self {
        self.steps.retain(|step| !unwanted(step.id()));
        self
    }

    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &dyn Step> {
        self.steps.iter().map(Box::as_ref)
    }

    /// Makes every step true, skipping what already is. Steps that do not need a failed one go on; the first
    /// failure is the error.
    pub async fn converge(&self, stack: &Stack, report: &dyn Report) -> Result<Summary> {
        let (looking, mut seen) = self.look(stack);
        let walk = self.walk(
            report,
            |step| step.needs().to_vec(),
            |step, is_as_it_was| {
                let early = seen.remove(step.id()).filter(|_| is_as_it_was);
                Box::pin(converge_one(step, stack, report, early))
            },
        );
        beside(walk, looking).await
    }

    /// Undoes every step, those that need others first.
    pub async fn retract(
        &self,
        stack: &Stack,
        how: Retraction,
        report: &dyn Report,
    ) -> Result<Summary> {
        let dependents = |step: &dyn Step| {
            self.steps()
                .filter(|other| other.needs().contains(&step.id()))
                .map(|other| other.id())
                .collect()
        };
        self.walk(report, dependents, |step, _| Box::pin(retract_one(step, stack, how, report)))
            .await
    }

    /// Looks at every step that can be looked at, and changes nothing.
    pub async fn plan<'a>(&'a self, stack: &Stack) -> Result<Vec<Planned<'a>>> {
        let (looking, mut seen) = self.look(stack);
        let plan = async {
            let mut plan: Vec<Planned<'a>> = Vec::new();
            for step in self.steps() {
                let open = step.needs().iter().find(|need| {
                    plan.iter().any(|p| p.step.id() == **need && !p.finding.lets_go_on())
                });
                let finding = match open {
                    Some(need) => Finding::After(need),
                    None => Finding::Seen(sight(step, stack, seen.remove(step.id())).await?),
                };
                plan.push(Planned { step, finding });
            }
            Ok(plan)
        };
        beside(plan, looking).await
    }

    /// Looks at all steps at the same time, because most of them are true most of the time. What one sees counts as long
    /// as no step before it has been changed.
    fn look<'a>(
        &'a self,
        stack: &'a Stack,
    ) -> (impl Future<Output = ()> + 'a, BTreeMap<StepId, Early>) {
        let (looks, seen): (Vec<_>, BTreeMap<_, _>) = self
            .steps()
            .map(|step| {
                let (tell, told) = oneshot::channel();
                let look = async move {
                    // nobody listens when it was looked at anew, or what it needs has failed
                    let _ = tell.send(observe(step, stack).await);
                };
                (look, (step.id(), told))
            })
            .unzip();
        (join_all(looks).map(drop), seen)
    }

    async fn walk<'a, F>(
        &'a self,
        report: &dyn Report,
        comes_after: F,
        mut run: impl FnMut(&'a dyn Step, bool) -> BoxFuture<'a, Result<(End, bool)>>,
    ) -> Result<Summary>
    where
        F: Fn(&dyn Step) -> Vec<StepId>,
    {
        let started = Instant::now();
        let mut ended: BTreeMap<StepId, End> = BTreeMap::new();
        let mut chain: BTreeMap<StepId, Duration> = BTreeMap::new();
        // changed, or after one that was
        let mut touched: BTreeSet<StepId> = BTreeSet::new();
        let known: BTreeSet<StepId> = self.steps().map(|step| step.id()).collect();
        let mut waiting: Vec<&dyn Step> = self.steps().collect();
        let mut running = FuturesUnordered::new();
        let mut summary = Summary::default();
        let mut failure: Option<anyhow::Error> = None;
        loop {
            let mut settled = true;
            waiting.retain(|step| {
                let mut before = comes_after(*step);
                before.retain(|id| known.contains(id));
                let stopper =
                    before.iter().find(|id| ended.get(*id).is_some_and(|end| *end != End::True));
                if let Some(id) = stopper {
                    let pending = ended[id] == End::Pending;
                    report.step(step.id(), Event::Skipped { need: id, pending });
                    ended.insert(step.id(), if pending { End::Pending } else { End::Skipped });
                    if pending {
                        summary.pending.push(step.id());
                    }
                    settled = false;
                    return false;
                }
                let open: Vec<StepId> =
                    before.iter().copied().filter(|id| !ended.contains_key(id)).collect();
                if !open.is_empty() {
                    report.step(step.id(), Event::Waiting { needs: &open });
                    return true;
                }
                let longest_before =
                    before.iter().filter_map(|id| chain.get(id)).max().copied().unwrap_or_default();
                let id = step.id();
                let is_as_it_was = before.iter().all(|id| !touched.contains(id));
                if !is_as_it_was {
                    touched.insert(id);
                }
                let future = run(*step, is_as_it_was);
                running.push(async move {
                    let begun = Instant::now();
                    let result = future.await;
                    (id, result, longest_before + begun.elapsed())
                });
                false
            });
            if !settled {
                continue;
            }
            let Some((id, result, took)) = running.next().await else { break };
            chain.insert(id, took);
            match result {
                Ok((end, changed)) => {
                    ended.insert(id, end);
                    if changed {
                        touched.insert(id);
                        summary.changed.push(id);
                    }
                    if end == End::Pending {
                        summary.pending.push(id);
                    }
                }
                Err(error) => {
                    report.step(id, Event::Failed(&error::one_line(&error)));
                    ended.insert(id, End::Failed);
                    failure.get_or_insert(error.context(id));
                }
            }
        }
        summary.took = started.elapsed();
        summary.longest_chain = chain.values().max().copied().unwrap_or_default();
        failure.map_or(Ok(summary), Err)
    }
}

/// A look that this user may not take is an answer, too: it costs one row, not the verb.
pub async fn observe(step: &dyn Step, stack: &Stack) -> Result<Observed> {
    unless_forbidden(step.observe(stack).await, Observed::unknown)
}

/// The same before something is taken away: what this user may not look at stays.
pub async fn retractable(step: &dyn Step, stack: &Stack, how: Retraction) -> Result<Retracted> {
    unless_forbidden(step.retractable(stack, how).await, Retracted::Kept)
}

fn unless_forbidden<T>(looked: Result<T>, answer: impl FnOnce(String) -> T) -> Result<T> {
    looked.or_else(|error| match error::forbidden(&error) {
        Some(sentence) => Ok(answer(sentence.to_string())),
        None => Err(error),
    })
}

/// Awaits the one while the other goes on beside it.
async fn beside<T>(main: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    match select(pin!(main), pin!(other)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), main)) => main.await,
    }
}

/// What a step shows: by the look that was taken early, if that still counts.
async fn sight(step: &dyn Step, stack: &Stack, early: Option<Early>) -> Result<Observed> {
    match early {
        Some(look) => look.await?,
        None => observe(step, stack).await,
    }
}

async fn converge_one(
    step: &dyn Step,
    stack: &Stack,
    report: &dyn Report,
    early: Option<Early>,
) -> Result<(End, bool)> {
    let progress = Progress::new(step.id(), report);
    progress.say("looking");
    match sight(step, stack, early).await? {
        Observed::Ok(detail) => {
            report.step(step.id(), Event::There(&detail));
            return Ok((End::True, false));
        }
        Observed::Blocked(blocked) => {
            return Err(Failure::failed(blocked.why).hint(blocked.hint).into());
        }
        Observed::Forbidden(blocked) => {
            return Err(Failure::new(Kind::Unreachable, blocked.why).hint(blocked.hint).into());
        }
        // beyond the namespace others see to it; what is in a part of the stack, nobody has proven then
        Observed::Unknown { permission }
            if Component::of(step.id()).is_some_and(|part| part != Component::Operator) =>
        {
            let hint =
                format!("ask who runs the cluster for that in namespace {}", stack.namespace());
            return Err(Failure::new(Kind::Unreachable, permission).hint(hint).into());
        }
        Observed::Unknown { permission } => {
            report.step(step.id(), Event::Unknown(&permission));
            return Ok((End::True, false));
        }
        Observed::Missing(what) => progress.say(&what),
        Observed::Drifted(drift) => progress.say(&drift.to_string()),
    }
    match step.converge(stack, &progress).await? {
        Converged::Done(detail) => {
            report.step(step.id(), Event::Done(&detail));
            Ok((End::True, true))
        }
        Converged::Started(detail) => {
            report.step(step.id(), Event::Started(&detail));
            Ok((End::Pending, true))
        }
    }
}

async fn retract_one(
    step: &dyn Step,
    stack: &Stack,
    how: Retraction,
    report: &dyn Report,
) -> Result<(End, bool)> {
    let progress = Progress::new(step.id(), report);
    match retractable(step, stack, how).await? {
        Retracted::Nothing => Ok((End::True, false)),
        Retracted::Kept(why) => {
            report.step(step.id(), Event::Kept(&why));
            Ok((End::True, false))
        }
        Retracted::Removed(what) => {
            progress.say(&format!("removing {what}"));
            step.retract(stack, how, &progress).await?;
            report.step(step.id(), Event::Removed(&what));
            Ok((End::True, true))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    struct Named(StepId, &'static [StepId]);

    #[async_trait]
    impl Step for Named {
        fn id(&self) -> StepId {
            self.0
        }
        fn needs(&self) -> &'static [StepId] {
            self.1
        }
        async fn observe(&self, _: &Stack) -> Result<Observed> {
            unreachable!("the tests below walk without a stack")
        }
        async fn converge(&self, _: &Stack, _: &Progress) -> Result<Converged> {
            unreachable!("the tests below walk without a stack")
        }
    }

    fn graph() -> Graph {
        Graph::new(vec![
            Box::new(Named("lrs.release", &["lrs.credentials", "datalake.index"])),
            Box::new(Named("datalake.index", &["operator"])),
            Box::new(Named("lrs.credentials", &[])),
            Box::new(Named("operator", &[])),
        ])
        .unwrap()
    }

    struct Silent;
    impl Report for Silent {
        fn step(&self, _: StepId, _: Event<'_>) {}
    }

    #[test]
    fn each_step_comes_after_all_it_needs() {
        let ids: Vec<_> = graph().steps().map(|step| step.id()).collect();
        let at = |id| ids.iter().position(|other| *other == id).unwrap();
        assert!(
            at("operator") < at("datalake.index")
                && at("datalake.index") < at("lrs.release")
                && at("lrs.credentials") < at("lrs.release")
        );
    }

    #[test]
    fn a_circle_and_a_need_that_is_not_there_are_named() {
        let circle = Graph::new(vec![Box::new(Named("a", &["b"])), Box::new(Named("b", &["a"]))])
            .err()
            .unwrap();
        assert!(circle.to_string().contains("a, b"), "{circle}");
        assert!(Graph::new(vec![Box::new(Named("a", &["ghost"]))]).is_err());
    }

    #[test]
    fn only_keeps_what_the_wanted_steps_need() {
        let ids: Vec<_> =
            graph().only(|id| id.starts_with("datalake")).steps().map(|step| step.id()).collect();
        assert_eq!(ids, ["operator", "datalake.index"]);
    }

    #[tokio::test]
    async fn independent_steps_run_at_the_same_time_and_a_failure_stops_only_what_needs_it() {
        let graph = graph();
        let both = tokio::sync::Barrier::new(2);
        let seen = std::sync::Mutex::new(Vec::new());
        let (both, seen) = (&both, &seen);
        let error = graph
            .walk(
                &Silent,
                |step| step.needs().to_vec(),
                |step, _| {
                    let id = step.id();
                    Box::pin(async move {
                        seen.lock().unwrap().push(id);
                        match id {
                            // passes only when both are running at once
                            "operator" | "lrs.credentials" => {
                                both.wait().await;
                                Ok((End::True, true))
                            }
                            _ => Err(anyhow!("broken")),
                        }
                    })
                },
            )
            .await
            .unwrap_err();
        assert_eq!(error::one_line(&error), "datalake.index: broken");
        assert!(
            !seen.lock().unwrap().contains(&"lrs.release"),
            "a step ran although one it needs had failed"
        );
    }
}
