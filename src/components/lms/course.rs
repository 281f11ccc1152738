//! The test course, created by Moodle's own generator, with a learner who can sign in.

use anyhow::Result;
use async_trait::async_trait;
use clap::ValueEnum;
use secrecy::SecretString;

use crate::cluster::secrets;
use crate::engine::{Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::stack::Stack;
use crate::stack::settings::TestCourse;

use super::{COMPONENT, NAME, Size, client};

/// The user name of the first learner that the generator creates.
pub const LEARNER: &str = "tool_generator_000001";

pub struct Course;

fn size(stack: &Stack) -> Option<String> {
    let of_profile = || stack.settings.profile().size_of::<Size>(COMPONENT).course;
    let course = stack.settings.lms.course.unwrap_or_else(of_profile);
    let name = course.to_possible_value().map(|value| value.get_name().to_string());
    name.filter(|_| course != TestCourse::None)
}

/// The short name of the test course. None when the settings request none.
pub fn shortname(stack: &Stack) -> Option<String> {
    size(stack).map(|size| format!("lastack-{size}"))
}

/// The learner's password.
async fn password(stack: &Stack) -> Result<SecretString> {
    secrets::value(&stack.cluster, NAME, "learner-password").await
}

#[async_trait]
impl Resource<Stack> for Course {
    fn id(&self) -> Id {
        Id("lms.course")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.responds")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let Some(shortname) = shortname(stack) else {
            return Ok(Observation::Equal("no test course requested".into()));
        };
        let found = client(stack).await?.course(&shortname, &password(stack).await?).await?;
        Ok(match found.course {
            None => Observation::Missing(format!("course {shortname}")),
            Some(_) if found.enrolled && found.has_password => {
                Observation::Equal(format!("{shortname}, learner {LEARNER}"))
            }
            Some(_) if found.learner.is_none() => {
                Observation::Equal(format!("{shortname}, without generated learners"))
            }
            Some(_) if found.has_password => {
                Observation::Equal(format!("{shortname}, learner {LEARNER} is no longer enrolled"))
            }
            Some(_) => Observation::drifted(
                format!("learner {LEARNER}"),
                "without the password of the Secret",
                "able to sign in",
            ),
        })
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let (Some(shortname), Some(size)) = (shortname(stack), size(stack)) else {
            return Ok(Reconciled::Done("no test course requested".into()));
        };
        progress.say(&format!("creating course {shortname} in Moodle"));
        let password = password(stack).await?;
        client(stack)
            .await?
            .make_course(&shortname, &format!("Test course {size}"), &size, &password)
            .await?;
        Ok(Reconciled::Done(format!("{shortname}, learner {LEARNER}")))
    }
}
