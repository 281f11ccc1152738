//! Quantities of Kubernetes, such as `500m` or `2Gi`.
//!
//! The syntax: <https://kubernetes.io/docs/reference/kubernetes-api/definitions/quantity-resource-definition/>.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The value in cores or bytes. None: not a quantity.
pub fn value(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.as_str();
    // `f64` also reads words such as `inf`
    let is_number =
        |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    let parse = |text: &str| text.parse::<f64>().ok().filter(|_| is_number(text));
    // a number with or without an exponent
    if let Some(plain) = parse(text) {
        return Some(plain);
    }
    let (number, suffix) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    Some(parse(number)? * multiplier(suffix)?)
}

fn multiplier(suffix: &str) -> Option<f64> {
    Some(match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        _ => {
            let prefixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let position = prefixes.iter().position(|prefix| *prefix == suffix)?;
            1024_f64.powi(position as i32 + 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_binary_and_decimal_suffixes_and_exponents() {
        let value = |text: &str| value(&Quantity(text.into()));
        for (text, expected) in [
            ("0.1", 0.1),
            ("500m", 0.5),
            ("250000u", 0.25),
            ("100000000n", 0.1),
            ("+2k", 2e3),
            ("1.5Gi", 1.5 * 1024.0 * 1024.0 * 1024.0),
            ("3Ki", 3072.0),
            ("1E", 1e18),
            ("1E3", 1000.0),
            ("12e-1", 1.2),
            (".5M", 5e5),
        ] {
            assert_eq!(value(text), Some(expected), "{text}");
        }
        for text in ["", "Gi", "inf", "nan", "1 Gi", "1GB", "1ki", "1KI", "m1", "1.2.3Gi", "infMi"]
        {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
