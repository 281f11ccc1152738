//! A course to try it with, made by Moodle's own generator, and a learner in it who can sign in.

use anyhow::Result;
use async_trait::async_trait;
use clap::ValueEnum;
use secrecy::SecretString;

use crate::clients::secrets;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::settings::TestCourse;
use crate::stack::step::{Converged, Observed, Step, StepId};

use super::{NAME, client};

/// The first of the learners that the generator makes.
pub const LEARNER: &str = "tool_generator_000001";

pub struct Course;

fn size(stack: &Stack) -> Option<String> {
    let course = stack.settings.test_course();
    let name = course.to_possible_value().map(|value| value.get_name().to_string());
    name.filter(|_| course != TestCourse::None)
}

/// The short name of the test course. None when there is to be none.
pub fn shortname(stack: &Stack) -> Option<String> {
    size(stack).map(|size| format!("lastack-{size}"))
}

#[async_trait]
impl Step for Course {
    fn id(&self) -> StepId {
        "lms.course"
    }

    fn needs(&self) -> &'static [StepId] {
        &["lms.answers"]
    }

    fn configures(&self) -> bool {
        true
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let Some(shortname) = shortname(stack) else {
            return Ok(Observed::Ok("none is asked for".into()));
        };
        let found = client(stack).await?.course(&shortname).await?;
        Ok(match found.course {
            None => Observed::Missing(format!("course {shortname}")),
            Some(_) if found.enrolled && found.has_password => {
                Observed::Ok(format!("{shortname}, learner {LEARNER}"))
            }
            Some(_) if found.learner.is_none() => {
                Observed::Ok(format!("{shortname}, without its learners"))
            }
            Some(_) if found.has_password => {
                Observed::Ok(format!("{shortname}, learner {LEARNER} is no longer in it"))
            }
            Some(_) => Observed::drifted(
                format!("learner {LEARNER}"),
                "without a password",
                "able to sign in",
            ),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let (Some(shortname), Some(size)) = (shortname(stack), size(stack)) else {
            return Ok(Converged::Done("none is asked for".into()));
        };
        progress.say(&format!("Moodle makes course {shortname}"));
        let password: SecretString = secrets::value(stack, NAME, "learner-password").await?;
        client(stack)
            .await?
            .make_course(&shortname, &format!("Test course {size}"), &size, &password)
            .await?;
        Ok(Converged::Done(format!("{shortname}, learner {LEARNER}")))
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let Some((shortname, size)) = shortname(stack).zip(size(stack)) else { return Vec::new() };
        let exec = format!("kubectl exec -n {} deploy/{NAME} -- php", stack.namespace());
        vec![
            format!(
                "{exec} admin/tool/generator/cli/maketestcourse.php --shortname={shortname} --size={size} --bypasscheck"
            ),
            format!("{exec} admin/cli/reset_password.php --username={LEARNER}"),
        ]
    }
}
