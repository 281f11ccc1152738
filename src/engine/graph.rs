//! The graph: nodes in dependency order, and the walks that reconcile, plan and delete them.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use anyhow::{Error, Result, anyhow};
use futures::channel::oneshot;
use futures::future::{Either, FutureExt, join_all, select};

use super::walk::{self, End, Summary, Visit};
use super::{
    Context, DeleteOptions, Deletion, Id, Node, NodeEvent, Observation, Progress, Reconciled,
    Report, Resource, Scope,
};

/// Nodes in dependency order: each node follows every node it needs.
pub struct Graph<C: Context> {
    nodes: Vec<Node<C>>,
}

/// An observation that started together with the walk.
type Early = oneshot::Receiver<Result<Observation>>;

/// One node of a plan.
pub struct Planned<'a, C: Context> {
    pub node: &'a Node<C>,
    pub finding: Finding,
}

pub enum Finding {
    Observed(Observation),
    /// Cannot be observed before another node is as desired.
    After(Id),
    /// The observation failed.
    Failed(Error),
}

impl Finding {
    /// Whether dependents of this node can be observed. As in a run, a node that the user may not observe counts as met.
    fn allows_dependents(&self) -> bool {
        matches!(self, Self::Observed(Observation::Equal(_) | Observation::Unknown { .. }))
    }
}

impl<C: Context> Graph<C> {
    /// # Errors
    /// When a node needs one that is absent, and when nodes need each other.
    pub fn new(nodes: Vec<Node<C>>) -> Result<Self> {
        let mut ordered: Vec<Node<C>> = Vec::with_capacity(nodes.len());
        let mut placed = BTreeSet::new();
        let mut left = nodes;
        while !left.is_empty() {
            let (ready, later): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|node| node.needs().iter().all(|need| placed.contains(need)));
            if ready.is_empty() {
                let stuck: Vec<_> = later.iter().map(|node| node.id().as_str()).collect();
                let stuck = stuck.join(", ");
                return Err(anyhow!("nodes {stuck} need absent nodes, or each other"));
            }
            placed.extend(ready.iter().map(Node::id));
            ordered.extend(ready);
            left = later;
        }
        Ok(Self { nodes: ordered })
    }

    /// Keeps the nodes that `wanted` selects, and all their dependencies.
    pub fn only(self, wanted: impl Fn(&Node<C>) -> bool) -> Self {
        self.split(wanted).0
    }

    /// The nodes that `wanted` selects, with all their dependencies, and the other nodes, which do not wait for these.
    pub fn split(self, wanted: impl Fn(&Node<C>) -> bool) -> (Self, Self) {
        let mut keep: BTreeSet<Id> = BTreeSet::new();
        for node in self.nodes.iter().rev() {
            if wanted(node) || keep.contains(&node.id()) {
                keep.insert(node.id());
                keep.extend(node.needs());
            }
        }
        let (selected, others) = self.nodes.into_iter().partition(|node| keep.contains(&node.id()));
        (Self { nodes: selected }, Self { nodes: others })
    }

    /// Drops nodes. Dependents of a dropped node no longer wait for it.
    pub fn without(mut self, unwanted: impl Fn(&Node<C>) -> bool) -> Self {
        self.nodes.retain(|node| !unwanted(node));
        self
    }

    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node<C>> {
        self.nodes.iter()
    }

    pub fn ids(&self) -> impl Iterator<Item = Id> {
        self.nodes.iter().map(Node::id)
    }

    fn node(&self, id: Id) -> &Node<C> {
        self.nodes.iter().find(|node| node.id() == id).expect("a walk visits nodes of the graph")
    }

    /// Reconciles every node that is not as desired. After a failure, nodes that do not depend on it continue.
    ///
    /// # Errors
    /// The first failure of a node.
    pub async fn reconcile(&self, context: &C, report: &dyn Report) -> Result<Summary> {
        let visits = self.nodes().map(|node| Visit { id: node.id(), after: node.needs().to_vec() });
        let (observing, mut early) = self.observe_all(context);
        let walk = walk::walk(visits.collect(), report, |ready| {
            let seen = early.remove(&ready.id).filter(|_| ready.is_untouched);
            reconcile_one(self.node(ready.id), context, report, seen).boxed()
        });
        beside(walk, observing).await
    }

    /// Observes every node that can be observed. Changes nothing.
    pub async fn plan<'a>(&'a self, context: &C) -> Vec<Planned<'a, C>> {
        let (observing, mut early) = self.observe_all(context);
        let plan = async {
            let mut plan: Vec<Planned<'a, C>> = Vec::new();
            for node in self.nodes() {
                let is_closed = |need: &&Id| {
                    let same = |planned: &&Planned<'a, C>| planned.node.id() == **need;
                    plan.iter().find(same).is_some_and(|found| !found.finding.allows_dependents())
                };
                let finding = match node.needs().iter().find(is_closed) {
                    Some(need) => Finding::After(*need),
                    None => {
                        let seen = observe(node, context, early.remove(&node.id())).await;
                        seen.map_or_else(Finding::Failed, Finding::Observed)
                    }
                };
                plan.push(Planned { node, finding });
            }
            plan
        };
        beside(plan, observing).await
    }

    /// Observes every node, whether or not the nodes before it are as desired.
    pub async fn observe_each(&self, context: &C) -> Vec<(&Node<C>, Result<Observation>)> {
        let observations =
            self.nodes().map(|node| async move { (node, node.observe(context).await) });
        join_all(observations).await
    }

    /// Lists for each resource the objects that a deletion deletes and keeps, dependents first, without duplicates.
    ///
    /// # Errors
    /// When objects cannot be listed. Objects that the user may not list are left in place.
    pub async fn plan_deletion(
        &self,
        context: &C,
        options: DeleteOptions,
    ) -> Result<Vec<(Id, Deletion<C::Object>)>> {
        let resources = self.resources().collect::<Vec<_>>();
        let plans =
            resources.iter().rev().map(|resource| plan_deletion(*resource, context, options));
        let mut listed = BTreeSet::new();
        let mut plan = Vec::new();
        for (resource, deletion) in resources.iter().rev().zip(join_all(plans).await) {
            let mut deletion = deletion?;
            deletion.keep.retain(|(object, _)| listed.insert(object.clone()));
            deletion.delete.retain(|object| listed.insert(object.clone()));
            deletion.unclaimed.retain(|object| listed.insert(object.clone()));
            plan.push((resource.id(), deletion));
        }
        Ok(plan)
    }

    /// Deletes every resource, dependents first.
    ///
    /// # Errors
    /// The first failure of a resource.
    pub async fn delete(
        &self,
        context: &C,
        options: DeleteOptions,
        report: &dyn Report,
    ) -> Result<Summary> {
        let dependents =
            |id| self.nodes().filter(move |other| other.needs().contains(&id)).map(Node::id);
        let visits = self
            .nodes()
            .map(|node| Visit { id: node.id(), after: dependents(node.id()).collect() });
        walk::walk(visits.collect(), report, |ready| {
            let node = self.node(ready.id);
            async move {
                match node {
                    Node::Check(_) => Ok(End::Reached { changed: false }),
                    Node::Resource(resource) => {
                        delete_one(resource.as_ref(), context, options, report).await
                    }
                }
            }
            .boxed()
        })
        .await
    }

    fn resources(&self) -> impl Iterator<Item = &dyn Resource<C>> {
        self.nodes().filter_map(|node| match node {
            Node::Resource(resource) => Some(resource.as_ref()),
            Node::Check(_) => None,
        })
    }

    /// Observes all nodes concurrently, because most of them are usually unchanged. An observation is valid until a node
    /// before it changes.
    fn observe_all<'a>(
        &'a self,
        context: &'a C,
    ) -> (impl Future<Output = ()> + 'a, BTreeMap<Id, Early>) {
        let (observations, early): (Vec<_>, BTreeMap<_, _>) = self
            .nodes()
            .map(|node| {
                let (sender, receiver) = oneshot::channel();
                let observation = async move {
                    // the receiver is gone when the node is observed again, or when a dependency failed
                    let _ = sender.send(node.observe(context).await);
                };
                (observation, (node.id(), receiver))
            })
            .unzip();
        (join_all(observations).map(drop), early)
    }
}

/// Awaits `main` and polls `other` alongside it.
async fn beside<T>(main: impl Future<Output = T>, other: impl Future<Output = ()>) -> T {
    match select(pin!(main), pin!(other)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), main)) => main.await,
    }
}

/// Observes a node, or returns its early observation while that is valid.
async fn observe<C: Context>(
    node: &Node<C>,
    context: &C,
    early: Option<Early>,
) -> Result<Observation> {
    match early {
        Some(early) => early.await?,
        None => node.observe(context).await,
    }
}

async fn reconcile_one<C: Context>(
    node: &Node<C>,
    context: &C,
    report: &dyn Report,
    early: Option<Early>,
) -> Result<End> {
    let progress = Progress::new(node.id(), report);
    progress.report(NodeEvent::Observing);
    let seen = observe(node, context, early).await?;
    match (node, &seen) {
        (Node::Check(check), Observation::Unready(reason)) => {
            progress.say(reason);
            let settled = context.settle(check.as_ref(), &progress).await?;
            conclude(node.scope(), settled, &progress, true)
        }
        (Node::Resource(resource), Observation::Missing(_) | Observation::Drifted(_)) => {
            progress.say(&seen.text());
            Ok(match resource.reconcile(context, &progress).await? {
                Reconciled::Done(detail) => {
                    progress.report(NodeEvent::Done(&detail));
                    End::Reached { changed: true }
                }
                Reconciled::Started(detail) => {
                    progress.report(NodeEvent::Started(&detail));
                    End::Pending { changed: true }
                }
            })
        }
        _ => conclude(node.scope(), seen, &progress, false),
    }
}

/// Ends a visit with its final observation.
fn conclude(
    scope: Scope,
    seen: Observation,
    progress: &Progress<'_>,
    has_waited: bool,
) -> Result<End> {
    match seen {
        Observation::Equal(detail) => {
            let event =
                if has_waited { NodeEvent::Done(&detail) } else { NodeEvent::Unchanged(&detail) };
            progress.report(event);
            Ok(End::Reached { changed: has_waited })
        }
        Observation::Unknown { permission } if scope == Scope::Shared => {
            progress.report(NodeEvent::Unknown(&permission));
            Ok(End::Reached { changed: false })
        }
        Observation::Unready(reason) => {
            progress.report(NodeEvent::Started(&reason));
            Ok(End::Pending { changed: true })
        }
        seen => Err(seen.into_error()),
    }
}

/// A missing permission to list keeps the objects of this resource and does not fail the verb.
async fn plan_deletion<C: Context>(
    resource: &dyn Resource<C>,
    context: &C,
    options: DeleteOptions,
) -> Result<Deletion<C::Object>> {
    let planned = resource.plan_deletion(context, options).await;
    planned.or_else(|error| match crate::error::forbidden(&error) {
        Some(sentence) => Ok(Deletion { unknown: Some(sentence.into()), ..Deletion::default() }),
        None => Err(error),
    })
}

async fn delete_one<C: Context>(
    resource: &dyn Resource<C>,
    context: &C,
    options: DeleteOptions,
    report: &dyn Report,
) -> Result<End> {
    let progress = Progress::new(resource.id(), report);
    let Deletion { delete, keep, unknown, .. } = plan_deletion(resource, context, options).await?;
    let retained = keep.iter().map(|(object, why)| format!("{object}: {why}"));
    let retained: Vec<String> = retained.chain(unknown).collect();
    if delete.is_empty() {
        if !retained.is_empty() {
            progress.report(NodeEvent::Retained(&retained.join(", ")));
        }
        return Ok(End::Reached { changed: false });
    }
    let names = delete.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    progress.say(&format!("deleting {names}"));
    resource.delete(context, options, &progress).await?;
    progress.report(NodeEvent::Deleted(&names));
    Ok(End::Reached { changed: true })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::engine::Check;

    /// The context of graphs without walks.
    struct Nowhere;

    #[async_trait]
    impl Context for Nowhere {
        type Object = &'static str;
        type Step = &'static str;

        async fn settle(&self, _: &dyn Check<Self>, _: &Progress<'_>) -> Result<Observation> {
            unreachable!("these tests walk nothing")
        }
    }

    struct Named(&'static str, &'static [Id]);

    #[async_trait]
    impl Check<Nowhere> for Named {
        fn id(&self) -> Id {
            Id(self.0)
        }
        fn needs(&self) -> &'static [Id] {
            self.1
        }
        async fn observe(&self, _: &Nowhere) -> Result<Observation> {
            unreachable!("these tests walk nothing")
        }
    }

    fn graph() -> Graph<Nowhere> {
        Graph::new(vec![
            Node::check(Named("lrs.release", &[Id("lrs.credentials"), Id("datalake.index")])),
            Node::check(Named("datalake.index", &[Id("operator")])),
            Node::check(Named("lrs.credentials", &[])),
            Node::check(Named("operator", &[])),
        ])
        .unwrap()
    }

    #[test]
    fn graph_orders_each_node_after_all_it_needs() {
        let ids: Vec<_> = graph().ids().collect();
        let at = |id| ids.iter().position(|other| *other == Id(id)).unwrap();
        assert!(at("operator") < at("datalake.index"));
        assert!(at("datalake.index") < at("lrs.release"));
        assert!(at("lrs.credentials") < at("lrs.release"));
    }

    #[test]
    fn graph_rejects_a_circle_and_an_absent_need_by_name() {
        let circle = vec![Node::check(Named("a", &[Id("b")])), Node::check(Named("b", &[Id("a")]))];
        let error = Graph::<Nowhere>::new(circle).err().unwrap();
        assert!(error.to_string().contains("a, b"), "{error}");
        assert!(Graph::<Nowhere>::new(vec![Node::check(Named("a", &[Id("ghost")]))]).is_err());
    }

    #[test]
    fn graph_only_keeps_what_the_wanted_nodes_need() {
        let ids: Vec<_> = graph().only(|node| node.id().group() == "datalake").ids().collect();
        assert_eq!(ids, [Id("operator"), Id("datalake.index")]);
    }
}
