//! One real event, followed from Moodle to the data lake: where it is, how long each hop took, and why it stopped.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use uuid::Uuid;

use crate::cluster::wait::State;
use crate::components::lms::client::{Event as MoodleEvent, Moodle, Whereabouts};
use crate::components::lrs::client::{Place, Ralph};
use crate::components::{datalake, lms, lrs};
use crate::engine::{Event, Id, Progress, Reconciled, Report};
use crate::error::{self, Failure};
use crate::output::text;
use crate::stack::Stack;

/// The hops in the order in which an event passes them.
pub const HOPS: [Id; 5] =
    [EVENT, Id("moodle.queue"), Id("moodle.sent"), Id("lrs.statement"), Id("datalake.document")];
const EVENT: Id = Id("moodle.event");

/// What became of the event at one hop.
pub struct Hop {
    pub id: Id,
    pub outcome: Outcome,
}

pub enum Outcome {
    /// How long this hop took, and what was seen.
    Passed {
        took: Duration,
        detail: String,
    },
    /// Why it got no further, with what to do.
    Stopped {
        took: Duration,
        why: String,
    },
    NotReached,
}

pub struct Trace {
    pub hops: Vec<Hop>,
    /// What could not be taken away again.
    pub left: Vec<String>,
    /// Ended by Ctrl-C before the event had arrived or stopped.
    pub interrupted: bool,
}

impl Trace {
    pub fn arrived(&self) -> bool {
        self.hops.iter().all(|hop| matches!(hop.outcome, Outcome::Passed { .. }))
    }
}

/// What is known of the event so far.
struct Journey<'a> {
    stack: &'a Stack,
    course: &'a str,
    moodle: Option<Moodle>,
    event: Option<MoodleEvent>,
    /// Whether Moodle says that the LRS took it.
    is_sent: bool,
    statement: Option<Uuid>,
}

/// How long an interrupted trace takes back what it did.
const TIDYING: Duration = Duration::from_secs(10);

/// Makes an event in this course and follows it. Takes its traces away again unless they are to be kept, also after Ctrl-C.
pub async fn run(stack: &Stack, course: &str, keep: bool, report: &dyn Report) -> Result<Trace> {
    // listens from the beginning, so that the one that comes while the event is made is heard after it
    let mut interrupt = tokio::spawn(tokio::signal::ctrl_c());
    let mut journey =
        Journey { stack, course, moodle: None, event: None, is_sent: false, statement: None };
    let mut trace = Trace { hops: Vec::new(), left: Vec::new(), interrupted: false };
    let mut goes_on = true;
    for id in HOPS {
        let outcome = match id {
            _ if !goes_on => Outcome::NotReached,
            // an event whose making is broken off has no name to take it away by
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
        goes_on = matches!(outcome, Outcome::Passed { .. });
        trace.hops.push(Hop { id, outcome });
    }
    if !keep {
        trace.left = match trace.interrupted {
            false => journey.forget().await,
            true => tokio::time::timeout(TIDYING, journey.forget()).await.unwrap_or_else(|_| {
                vec![format!(
                    "the event in course {course} and its statement: no answer within {} s",
                    TIDYING.as_secs()
                )]
            }),
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
            _ => self.found(&progress).await,
        };
        let took = begun.elapsed();
        match passed {
            Ok(detail) => {
                report.event(id, Event::Done(&detail));
                Outcome::Passed { took, detail }
            }
            Err(error) => {
                report.event(id, Event::Failed(&error::one_line(&error)));
                Outcome::Stopped { took, why: error::render(&error) }
            }
        }
    }

    fn moodle(&self) -> Result<&Moodle> {
        self.moodle.as_ref().context("no pod of Moodle was found")
    }

    fn event(&self) -> Result<&MoodleEvent> {
        self.event.as_ref().context("no event was made")
    }

    fn log(&self) -> Result<i64> {
        self.event()?.log.context("the event is not in Moodle's log")
    }

    async fn make(&mut self) -> Result<String> {
        let moodle = self.moodle.insert(lms::client(self.stack).await?);
        let event = self.event.insert(moodle.make_event(self.course).await?);
        if event.log.is_none() {
            return Err(Failure::failed(
                "Moodle did not log the event: its own log store is not enabled",
            )
            .hint("`kubectl lastack configure lms` enables it")
            .into());
        }
        Ok(format!("{} viewed course {}", event.learner, self.course))
    }

    async fn queued(&self) -> Result<String> {
        match self.moodle()?.follow(self.log()?).await? {
            Whereabouts { waiting: true, .. } => Ok("waits for the cron".into()),
            Whereabouts { sent, .. } if sent > 0 => Ok("sent at once".into()),
            Whereabouts { failed: Some(_), .. } => Ok("tried at once".into()),
            _ => {
                let why =
                    lms::why_nothing_is_sent(self.stack, &self.moodle()?.state().await?).await?;
                let why =
                    why.unwrap_or_else(|| "the plugin did not take the event, or lost it: sending at once it keeps no trace of what fails".into());
                Err(Failure::failed(why)
                    .hint("`kubectl lastack configure lms` puts the settings right")
                    .into())
            }
        }
    }

    async fn sent(&self, progress: &Progress<'_>) -> Result<String> {
        let log = self.log()?;
        let waited = until(self.stack, "the event in Moodle's queue", progress, || async move {
            let place = self.moodle()?.follow(log).await?;
            Ok(match place.failed {
                _ if place.sent > 0 => State::Ready("taken by the LRS".into()),
                Some(refusal) => {
                    let said = text::excerpt(&refusal.response, 200);
                    let said = if said.is_empty() { said } else { format!(" and said: {said}") };
                    State::fatal(format!("{}{said}", refusal.cause()), refusal.cure())
                }
                None if place.waiting => {
                    State::Waiting("waits for the cron, which sends every minute".into())
                }
                None => State::fatal(
                    "the event is no longer in the plugin's queue, and it was not sent",
                    "somebody emptied the queue meanwhile; try again",
                ),
            })
        });
        match waited.await {
            Err(error) if error::kind(&error) == error::Kind::TimedOut => {
                match lms::why_nothing_is_sent(self.stack, &self.moodle()?.state().await?).await? {
                    Some(why) => Err(Failure::failed(why)
                        .hint(format!(
                            "cron runs in pod of deployment {}: look at its log",
                            lms::NAME
                        ))
                        .into()),
                    None => Err(error),
                }
            }
            other => other,
        }
    }

    async fn stored(&mut self, progress: &Progress<'_>) -> Result<String> {
        self.is_sent = true;
        let event = self.event()?;
        let ralph = lrs::client(self.stack).await?;
        let found = std::cell::Cell::new(None);
        let detail = until(self.stack, "the statement in the LRS", progress, || async {
            found.set(statement_of(event, &ralph).await?);
            Ok(match found.get() {
                Some(id) => State::Ready(format!("statement {id}")),
                None => State::Waiting("the LRS does not give it back yet".into()),
            })
        })
        .await?;
        self.statement = found.take();
        Ok(detail)
    }

    async fn found(&self, progress: &Progress<'_>) -> Result<String> {
        let id = self.statement.context("the LRS gave no statement")?;
        let elasticsearch = datalake::client(self.stack).await?;
        until(self.stack, "the statement in the data lake", progress, || async {
            elasticsearch.refresh().await?;
            Ok(match elasticsearch.count_of(&[id]).await? {
                0 => State::Waiting("a search does not find it yet".into()),
                _ => State::Ready("found by its id".into()),
            })
        })
        .await
    }

    /// What could not be taken away.
    async fn forget(&self) -> Vec<String> {
        let mut left = Vec::new();
        let Some(event) = &self.event else { return left };
        if let Some(log) = event.log
            && let Some(moodle) = &self.moodle
            && let Err(error) = moodle.forget(log).await
        {
            left.push(format!("the event in Moodle's log: {}", error::one_line(&error)));
        }
        // the LRS may have taken it since it was looked for
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
            // what has not left Moodle is no statement
            Ok(None) | Err(_) if !self.is_sent => Ok(()),
            Ok(None) => {
                Err(Failure::failed("the LRS took it and does not give it back yet").into())
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

/// The LRS gives the statement back to who asks for learner, course and time.
async fn statement_of(event: &MoodleEvent, ralph: &Ralph) -> Result<Option<Uuid>> {
    let (since, at) = (moment(event.time - 1)?, moment(event.time)?);
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("activity", &event.activity)
        .append_pair("since", &since.to_string())
        .append_pair("until", &at.to_string())
        .finish();
    let (statements, _) = ralph.page(&Place::Query(query)).await?;
    let heads = statements.iter().filter_map(|text| serde_json::from_str::<Head>(text.get()).ok());
    Ok(heads.into_iter().find(|head| head.is_of(event, at)).map(|head| head.id))
}

fn moment(seconds: i64) -> Result<jiff::Timestamp> {
    jiff::Timestamp::from_second(seconds).context("Moodle's clock")
}

/// By what the event is known again.
#[derive(Deserialize)]
struct Head {
    id: Uuid,
    timestamp: jiff::Timestamp,
    actor: serde_json::Value,
}

impl Head {
    fn is_of(&self, event: &MoodleEvent, at: jiff::Timestamp) -> bool {
        // a learner is sent as number, user name or address, whatever the settings say
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
    fn a_statement_of_another_learner_in_the_same_second_is_not_the_one_that_is_followed() {
        let event: MoodleEvent = serde_json::from_value(json!({
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
