//! The chart of Ralph.

use serde_json::json;

use super::rendered::{RELEASE, containers, object, objects};

#[test]
fn ralph_chart_accepts_a_yellow_data_lake() {
    let objects = objects("ralph", &json!({}));
    let deployment = object(&objects, "Deployment", &format!("{RELEASE}-ralph"));
    let ralph = containers(&deployment["spec"]["template"]["spec"]).next().expect("Ralph");
    let yellow = json!({"name": "RALPH_BACKENDS__LRS__ES__ALLOW_YELLOW_STATUS", "value": "true"});
    assert!(ralph["env"].as_array().expect("variables").contains(&yellow), "{}", ralph["env"]);
}
