//! The check that the plugin supports the Moodle that runs. `install` compares it with the Moodle of the settings, whose image
//! can have another version than its tag says.

use anyhow::Result;
use async_trait::async_trait;

use crate::engine::{Check, Id, Observation};
use crate::stack::Stack;

use super::package::{LOGSTORE, branch};
use super::{plugin, state};

pub struct Compatibility;

#[async_trait]
impl Check<Stack> for Compatibility {
    fn id(&self) -> Id {
        Id("lms.compatibility")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.installed")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let plugin = plugin::current(stack).await?;
        let state = state(stack).await?;
        let moodle = state.release.split(' ').next().unwrap_or_default();
        let supported = plugin.supported_text();
        let is_supported = branch(moodle).is_none_or(|branch| plugin.supports(branch));
        Ok(match is_supported {
            true => Observation::Equal(format!("{LOGSTORE} {} in Moodle {moodle}", plugin.release)),
            false => Observation::blocked(
                format!(
                    "{LOGSTORE} {} supports {supported}, and Moodle {moodle} runs",
                    plugin.release
                ),
                "run an image of a supported Moodle, or pass a release that supports it: `--plugin FILE`",
            ),
        })
    }
}
