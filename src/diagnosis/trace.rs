//! Follows one real event from Moodle to a chart: its position, the duration of each hop, and why it stopped.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::cluster::wait::State;
use crate::components::lms::client::{Delivery, LoggedEvent, Moodle};
use crate::components::lrs::client::{Cursor, Ralph};
use crate::components::lrs::sources::Source;
use crate::components::{datalake, dataviz, lms, lrs};
use crate::dashboards::live;
use crate::engine::{Id, NodeEvent, Progress, Reconciled, Report};
use crate::error::{self, Failure};
use crate::interrupt;
use crate::output::text;
use crate::stack::Stack;

/// The hops, in the order of an event.
const HOPS: [Id; 6] = [
    EVENT,
    Id("moodle.queue"),
    Id("moodle.sent"),
    Id("lrs.statement"),
    Id("datalake.document"),
    CHART,
];
const EVENT: Id = Id("moodle.event");
const CHART: Id = Id("dataviz.chart");

/// What a trace follows.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// A new event in the course with this short name.
    Course(&'a str),
    /// The next statement of a source.
    Source(&'a Source),
}

/// The hops in this stack: one without dashboards ends at the data lake, and a statement of a source begins at the LRS.
pub fn hops(stack: &Stack, subject: Subject<'_>) -> impl Iterator<Item = Id> {
    let has_charts = stack.settings.has(dataviz::COMPONENT);
    let is_statement = matches!(subject, Subject::Source(_));
    let is_hop = move |hop: &Id| {
        (has_charts || *hop != CHART) && !(is_statement && hop.as_str().starts_with("moodle."))
    };
    HOPS.into_iter().filter(is_hop)
}

/// The result of one hop.
pub struct Hop {
    pub id: Id,
    pub outcome: Outcome,
}

pub enum Outcome {
    /// The event passed. `detail` is the observation.
    Passed {
        took: Duration,
        detail: String,
    },
    /// The event stopped. `why` contains the hints.
    Stopped {
        took: Duration,
        why: String,
    },
    NotReached,
}

pub struct Trace {
    pub hops: Vec<Hop>,
    /// The objects that could not be deleted afterwards, with the reason.
    pub left: Vec<String>,
    /// Whether Ctrl-C ended the trace before the event arrived or stopped.
    pub interrupted: bool,
}

impl Trace {
    pub fn arrived(&self) -> bool {
        self.hops.iter().all(|hop| matches!(hop.outcome, Outcome::Passed { .. }))
    }
}

/// The state of a running trace.
struct Journey<'a> {
    stack: &'a Stack,
    subject: Subject<'a>,
    moodle: Option<Moodle>,
    event: Option<LoggedEvent>,
    /// Whether Moodle reports that the LRS accepted the event.
    is_sent: bool,
    statement: Option<Uuid>,
}

/// The time limit for the cleanup of an interrupted trace.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates an event in a course and follows it, or waits for a statement of a source. Unless `keep` is set, deletes the created
/// event afterwards, also after Ctrl-C. A failed hop is recorded in the trace and is not an error.
pub async fn run(
    stack: &Stack,
    subject: Subject<'_>,
    keep: bool,
    report: &dyn Report,
) -> Result<Trace> {
    // listen from the start, so that a Ctrl-C during the creation of the event is handled after it
    let mut interrupt = tokio::spawn(interrupt::requested());
    let mut journey =
        Journey { stack, subject, moodle: None, event: None, is_sent: false, statement: None };
    let mut trace = Trace { hops: Vec::new(), left: Vec::new(), interrupted: false };
    let mut continues = true;
    for id in hops(stack, subject) {
        let outcome = match id {
            _ if !continues => Outcome::NotReached,
            // an event whose creation is interrupted has no id to delete it by
            EVENT => journey.pass(id, report).await,
            _ => tokio::select! {
                biased;
                _ = &mut interrupt => {
                    trace.interrupted = true;
                    Outcome::NotReached
                }
                outcome = journey.pass(id, report) => outcome,
            },
        };
        continues = matches!(outcome, Outcome::Passed { .. });
        trace.hops.push(Hop { id, outcome });
    }
    if !keep {
        trace.left = match trace.interrupted {
            false => journey.forget().await,
            true => {
                tokio::time::timeout(CLEANUP_TIMEOUT, journey.forget()).await.unwrap_or_else(|_| {
                    vec![format!(
                        "the event and its statement: no response within {} s",
                        CLEANUP_TIMEOUT.as_secs()
                    )]
                })
            }
        };
    }
    Ok(trace)
}

impl Journey<'_> {
    async fn pass(&mut self, id: Id, report: &dyn Report) -> Outcome {
        let progress = Progress::new(id, report);
        progress.say("following");
        let begun = Instant::now();
        let passed = match id.as_str() {
            "moodle.event" => self.make().await,
            "moodle.queue" => self.queued().await,
            "moodle.sent" => self.sent(&progress).await,
            "lrs.statement" => self.stored(&progress).await,
            "datalake.document" => self.found(&progress).await,
            _ => self.charted(&progress).await,
        };
        let took = begun.elapsed();
        match passed {
            Ok(detail) => {
                report.event(id, NodeEvent::Done(&detail));
                Outcome::Passed { took, detail }
            }
            Err(error) => {
                report.event(id, NodeEvent::Failed(&error::one_line(&error)));
                Outcome::Stopped { took, why: error::render(&error) }
            }
        }
    }

    fn moodle(&self) -> Result<&Moodle> {
        self.moodle.as_ref().context("no Moodle pod found")
    }

    fn event(&self) -> Result<&LoggedEvent> {
        self.event.as_ref().context("no event was created")
    }

    fn log(&self) -> Result<i64> {
        self.event()?.log.context("the event is not in Moodle's log")
    }

    async fn make(&mut self) -> Result<String> {
        let moodle = self.moodle.insert(lms::client(self.stack).await?);
        let Subject::Course(course) = self.subject else { bail!("a source creates its events") };
        let event = self.event.insert(moodle.make_event(course).await?);
        if event.log.is_none() {
            return Err(Failure::failed(
                "Moodle did not log the event: its own log store is not enabled",
            )
            .hint("run `kubectl lastack configure lms` to enable it")
            .into());
        }
        Ok(format!("{} viewed course {course}", event.learner))
    }

    async fn queued(&self) -> Result<String> {
        match self.moodle()?.follow(self.log()?).await? {
            Delivery { waiting: true, .. } => Ok("waiting for cron".into()),
            Delivery { sent, .. } if sent > 0 => Ok("sent immediately".into()),
            Delivery { failed: Some(_), .. } => Ok("sending attempted immediately".into()),
            _ => {
                let why =
                    lms::why_nothing_is_sent(self.stack, &self.moodle()?.state().await?).await?;
                let why =
                    why.unwrap_or_else(|| "the plugin did not queue the event, or lost it: with `--immediate` it records no failures".into());
                Err(Failure::failed(why)
                    .hint("run `kubectl lastack configure lms` to reconcile the settings")
                    .into())
            }
        }
    }

    async fn sent(&self, progress: &Progress<'_>) -> Result<String> {
        let log = self.log()?;
        let waited = until(self.stack, "the event in Moodle's queue", progress, || async move {
            let position = self.moodle()?.follow(log).await?;
            Ok(match position.failed {
                _ if position.sent > 0 => State::Ready("accepted by the LRS".into()),
                Some(rejection) => {
                    let said = text::excerpt(&rejection.response, 200);
                    let said = if said.is_empty() { said } else { format!(": {said}") };
                    State::fatal(format!("{}{said}", rejection.cause()), rejection.hint())
                }
                None if position.waiting => {
                    State::Waiting("waiting for cron, which sends once per minute".into())
                }
                None => State::fatal(
                    "the event is no longer in the plugin's queue, but it was not sent",
                    "run the command again; another process may have cleared the queue",
                ),
            })
        });
        match waited.await {
            Err(error) if error::kind(&error) == error::Kind::TimedOut => {
                match lms::why_nothing_is_sent(self.stack, &self.moodle()?.state().await?).await? {
                    Some(why) => Err(Failure::failed(why)
                        .hint(format!("check the log of cron in deployment {}", lms::NAME))
                        .into()),
                    None => Err(error),
                }
            }
            other => other,
        }
    }

    async fn stored(&mut self, progress: &Progress<'_>) -> Result<String> {
        if let Subject::Source(source) = self.subject {
            let (id, detail) = next_of(self.stack, source, progress).await?;
            self.statement = Some(id);
            return Ok(detail);
        }
        self.is_sent = true;
        let event = self.event()?;
        let ralph = lrs::client(self.stack).await?;
        let found = std::cell::Cell::new(None);
        let detail = until(self.stack, "the statement in the LRS", progress, || async {
            found.set(statement_of(event, &ralph).await?);
            Ok(match found.get() {
                Some(id) => State::Ready(format!("statement {id}")),
                None => State::Waiting("the LRS does not return it yet".into()),
            })
        })
        .await?;
        self.statement = found.take();
        Ok(detail)
    }

    async fn found(&self, progress: &Progress<'_>) -> Result<String> {
        let id = self.statement.context("the LRS returned no statement")?;
        let elasticsearch = datalake::client(self.stack).await?;
        until(self.stack, "the statement in the data lake", progress, || async {
            elasticsearch.refresh(datalake::INDEX).await?;
            Ok(match elasticsearch.count_of(&[id]).await? {
                0 => State::Waiting("a search does not find it yet".into()),
                _ => State::Ready("found by its id".into()),
            })
        })
        .await
    }

    /// Waits until the query of a chart counts the event.
    async fn charted(&self, progress: &Progress<'_>) -> Result<String> {
        let id = self.statement.context("the LRS returned no statement")?;
        let superset = dataviz::client(self.stack).await?;
        let flags = &self.stack.cluster.flags;
        let chart = live::counting_statements(&superset).await?.ok_or_else(|| {
            Failure::failed("Superset has no chart that counts statements").hint(format!(
                "run `kubectl lastack dashboards apply --overwrite{flags}` to restore those of this program"
            ))
        })?;
        let named = format!("chart `{}`", chart.listed.title);
        let mut query = chart.query().map_err(|why| Failure::failed(format!("{named} {why}")))?;
        let only = json!({"col": "id", "op": "==", "val": id});
        let filters = query["queries"][0]["filters"].as_array_mut();
        filters.context("the query has no filters")?.push(only);
        until(self.stack, "the event in a chart", progress, || async {
            let rows = superset.query(&query).await?.into_iter().next().unwrap_or_default();
            Ok(match rows.error {
                Some(ref error) => State::fatal(
                    format!("{named}: {}", text::one_line(error)),
                    format!("run `kubectl lastack dashboards explain '{}'{flags}`", chart.name),
                ),
                None if rows.has_data() => State::Ready(format!("{named} counts it")),
                None => State::Waiting(format!("the query of {named} does not count it yet")),
            })
        })
        .await
    }

    /// Deletes the event and its statement. Returns what could not be deleted.
    async fn forget(&self) -> Vec<String> {
        let mut left = Vec::new();
        let Some(event) = &self.event else { return left };
        if let Some(log) = event.log
            && let Some(moodle) = &self.moodle
            && let Err(error) = moodle.forget(log).await
        {
            left.push(format!("the event in Moodle's log: {}", error::one_line(&error)));
        }
        // the LRS may have stored the statement since the last request
        let statement = match self.statement {
            Some(id) => Ok(Some(id)),
            None => async { statement_of(event, &lrs::client(self.stack).await?).await }.await,
        };
        let gone = match statement {
            Ok(Some(id)) => {
                async {
                    datalake::client(self.stack)
                        .await?
                        .delete(id)
                        .await
                        .with_context(|| format!("id {id}"))
                }
                .await
            }
            // an event that was not sent has no statement
            Ok(None) | Err(_) if !self.is_sent => Ok(()),
            Ok(None) => {
                Err(Failure::failed("the LRS accepted it but does not return it yet").into())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = gone {
            let time = moment(event.time).map(|time| format!(" at {time}")).unwrap_or_default();
            left.push(format!(
                "the statement of {} about {}{time}: {}",
                event.learner,
                event.activity,
                error::one_line(&error)
            ));
        }
        left
    }
}

async fn until<F, Fut>(
    stack: &Stack,
    object: &str,
    progress: &Progress<'_>,
    look: F,
) -> Result<String>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<State>>,
{
    let (Reconciled::Done(detail) | Reconciled::Started(detail)) =
        stack.until(object, progress, look).await?;
    Ok(detail)
}

/// Waits for the next statement of a source, and requests it from the LRS.
async fn next_of(
    stack: &Stack,
    source: &Source,
    progress: &Progress<'_>,
) -> Result<(Uuid, String)> {
    let (ralph, elasticsearch) = (lrs::client(stack).await?, datalake::client(stack).await?);
    let authority = source.authority();
    let newest = || async {
        elasticsearch.refresh(datalake::INDEX).await?;
        elasticsearch.newest_of(&authority).await
    };
    let before = newest().await?;
    let found = std::cell::Cell::new(None);
    let object = format!("the next statement of source {}", source.name);
    let detail = until(stack, &object, progress, || async {
        let now = newest().await?.filter(|id| before != Some(*id));
        let Some(id) = now else {
            return Ok(State::Waiting(format!(
                "waiting for the next statement of {}",
                source.name
            )));
        };
        found.set(Some(id));
        Ok(match ralph.statement(id).await? {
            Some(_) => State::Ready(format!("statement {id}")),
            None => State::Waiting("the LRS does not return it yet".into()),
        })
    })
    .await?;
    Ok((found.take().context("no statement was found")?, detail))
}

/// Finds the statement in the LRS by learner, course and time.
async fn statement_of(event: &LoggedEvent, ralph: &Ralph) -> Result<Option<Uuid>> {
    let (since, at) = (moment(event.time - 1)?, moment(event.time)?);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("activity", &event.activity)
        .append_pair("since", &since.to_string())
        .append_pair("until", &at.to_string())
        .finish();
    let (statements, _) = ralph.page(&Cursor::Query(query)).await?;
    let heads = statements.iter().filter_map(|text| serde_json::from_str::<Head>(text.get()).ok());
    Ok(heads.into_iter().find(|head| head.is_of(event, at)).map(|head| head.id))
}

fn moment(seconds: i64) -> Result<jiff::Timestamp> {
    jiff::Timestamp::from_second(seconds).context("Moodle's clock")
}

/// The fields that identify the event in a statement.
#[derive(Deserialize)]
struct Head {
    id: Uuid,
    timestamp: jiff::Timestamp,
    actor: serde_json::Value,
}

impl Head {
    fn is_of(&self, event: &LoggedEvent, at: jiff::Timestamp) -> bool {
        // depending on the settings, a learner is sent as id, user name or email address
        let is_learner = match (self.actor["account"]["name"].as_str(), self.actor["mbox"].as_str())
        {
            (Some(name), _) => name == event.user.to_string() || name == event.learner,
            (None, Some(mbox)) => mbox
                .strip_prefix("mailto:")
                .is_some_and(|address| address.eq_ignore_ascii_case(&event.email)),
            (None, None) => false,
        };
        self.timestamp.as_second() == at.as_second() && is_learner
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn statement_of_another_learner_in_the_same_second_is_not_followed() {
        let event: LoggedEvent = serde_json::from_value(json!({
            "log": 7, "time": 1_800_000_000, "user": 3, "learner": "ada", "email": "ada@example.org", "activity": "https://lms.example.org/course/view.php?id=2"
        }))
        .unwrap();
        let at = moment(event.time).unwrap();
        let is_of = |actor: Value, at: jiff::Timestamp| {
            Head { id: Uuid::nil(), timestamp: at, actor }
                .is_of(&event, moment(event.time).unwrap())
        };
        let account =
            |name: &str| json!({"account": {"homePage": "https://lms.example.org", "name": name}});
        for ours in [account("3"), account("ada"), json!({"mbox": "mailto:Ada@example.org"})] {
            assert!(is_of(ours.clone(), at), "{ours}");
            assert!(!is_of(ours.clone(), moment(event.time + 1).unwrap()), "{ours} a second later");
        }
        for other in [
            account("4"),
            account("4711"),
            account("grace"),
            json!({"mbox": "mailto:grace@example.org"}),
            json!({}),
        ] {
            assert!(!is_of(other.clone(), at), "{other}");
        }
    }
}
