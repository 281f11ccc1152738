//! CPU and memory, added up and compared.

use std::ops::{Add, Mul, Sub};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use super::quantity;

/// CPU in thousandths of a core, memory in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub struct Resources {
    pub millicores: i64,
    pub memory_bytes: i64,
}

impl Resources {
    /// An absent or invalid quantity counts as zero.
    pub fn of(cpu: Option<&Quantity>, memory: Option<&Quantity>) -> Self {
        let value = |given: Option<&Quantity>| given.and_then(quantity::value).unwrap_or_default();
        Self {
            millicores: (value(cpu) * 1000.0).round() as i64,
            memory_bytes: value(memory).round() as i64,
        }
    }

    /// With the requests of a Pod's `resources` in chart values. An absent quantity stays.
    pub fn overridden_by(self, resources: Option<&Value>) -> Self {
        let quantity = |name: &str| -> Option<Quantity> {
            serde_json::from_value(resources?.get("requests")?.get(name)?.clone()).ok()
        };
        let (cpu, memory) = (quantity("cpu"), quantity("memory"));
        let own = Self::of(cpu.as_ref(), memory.as_ref());
        Self {
            millicores: cpu.map_or(self.millicores, |_| own.millicores),
            memory_bytes: memory.map_or(self.memory_bytes, |_| own.memory_bytes),
        }
    }

    pub fn fits_into(self, room: Self) -> bool {
        self.millicores <= room.millicores && self.memory_bytes <= room.memory_bytes
    }
}

impl Add for Resources {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            millicores: self.millicores + other.millicores,
            memory_bytes: self.memory_bytes + other.memory_bytes,
        }
    }
}

impl Sub for Resources {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            millicores: self.millicores - other.millicores,
            memory_bytes: self.memory_bytes - other.memory_bytes,
        }
    }
}

impl Mul<u32> for Resources {
    type Output = Self;
    fn mul(self, n: u32) -> Self {
        Self {
            millicores: self.millicores * i64::from(n),
            memory_bytes: self.memory_bytes * i64::from(n),
        }
    }
}

impl std::iter::Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cores = self.millicores as f64 / 1000.0;
        let memory = self.memory_bytes as f64 / f64::from(1 << 30);
        write!(f, "{cores:.1} cores and {memory:.1} Gi")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_in_any_unit_add_up() {
        let quantity = |text: &str| Quantity(text.into());
        let of = |cpu, memory| Resources::of(Some(&quantity(cpu)), Some(&quantity(memory)));
        assert_eq!(
            of("500m", "1536Mi") + of("2", "1G"),
            Resources { millicores: 2500, memory_bytes: 1536 * 1024 * 1024 + 1_000_000_000 }
        );
        assert_eq!(of("0.1", "128974848").millicores, 100);
        assert_eq!((of("500m", "512Mi") * 3).to_string(), "1.5 cores and 1.5 Gi");
        assert!(!of("1", "3Gi").fits_into(of("2", "2Gi")));
        assert_eq!(Resources::of(None, Some(&quantity("1Ki"))).memory_bytes, 1024);
    }

    #[test]
    fn requests_in_chart_values_override_those_of_the_profile() {
        let profile = Resources { millicores: 500, memory_bytes: 1 << 30 };
        let own = serde_json::json!({"requests": {"memory": "2Gi"}, "limits": {"cpu": 4}});
        let with_memory = Resources { memory_bytes: 2 << 30, ..profile };
        assert_eq!(profile.overridden_by(Some(&own)), with_memory);
        let cpu = serde_json::json!({"requests": {"cpu": "20m"}});
        assert_eq!(profile.overridden_by(Some(&cpu)), Resources { millicores: 20, ..profile });
        assert_eq!(profile.overridden_by(None), profile);
    }
}
