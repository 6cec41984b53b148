//! `naru config --variables`: the variables that the files refer to.

use naru_compose::Template;

use crate::error::CommandError;
use crate::ui::Table;

/// The variables as a table, JSON or YAML.
pub(super) fn text(template: &Template, format: Option<&str>) -> Result<String, CommandError> {
    match format {
        None | Some("" | "table" | "pretty") => Ok(table(template)),
        Some("json") => Ok(template.variables_to_json() + "\n"),
        Some("yaml") => Ok(template.variables_to_yaml()),
        Some(other) => Err(CommandError::user(format!("unsupported format \"{other}\""))),
    }
}

fn table(template: &Template) -> String {
    let mut table = Table::new(&["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"]);
    for (name, variable) in template.variables() {
        let required = variable.required.to_string();
        table.row(vec![name, required, variable.default, variable.alternative]);
    }
    table.to_string()
}
