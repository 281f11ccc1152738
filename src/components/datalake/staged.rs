//! A second index, which a restore fills and verifies before it replaces the statements.

use anyhow::Result;
use serde_json::json;

use crate::stack::Stack;

use super::client::Elasticsearch;
use super::{INDEX, RESTORED, index, nodes};

/// Creates the second index unless it exists. Returns its name.
///
/// # Errors
/// When Elasticsearch does not create it.
pub async fn stage(stack: &Stack, elasticsearch: &Elasticsearch) -> Result<&'static str> {
    if elasticsearch.index(RESTORED).await?.is_none() {
        elasticsearch.create_index(RESTORED, &index::definition(nodes(stack))?).await?;
    }
    // an exchange that was interrupted blocked it
    elasticsearch.put_settings(RESTORED, &json!({BLOCK: null})).await?;
    Ok(RESTORED)
}

/// Replaces the statements by those of the second index.
///
/// # Errors
/// When Elasticsearch fails. After a failure between two requests, the stack may have no statements until the next attempt.
pub async fn exchange(stack: &Stack, elasticsearch: &Elasticsearch) -> Result<()> {
    elasticsearch.put_settings(RESTORED, &json!({BLOCK: true})).await?;
    if elasticsearch.index(INDEX).await?.is_some() {
        elasticsearch.delete_index(INDEX).await?;
    }
    // a clone has the default number of replicas unless it is given
    let settings = json!({BLOCK: null, index::REPLICAS: index::replicas(nodes(stack))});
    elasticsearch.clone_index(RESTORED, INDEX, &json!({"settings": settings})).await?;
    elasticsearch.delete_index(RESTORED).await
}

/// Elasticsearch clones only an index that does not change.
const BLOCK: &str = "index.blocks.write";
