//! The declaration of a check of the cluster that holds the stack.

/// Declares a check: its type, its id, its severity, and its observation of a stack.
macro_rules! cluster_check {
    ($type:ident, $id:literal, $severity:ident, |$self:ident, $stack:ident| $observe:expr) => {
        #[async_trait::async_trait]
        impl $crate::engine::Check<$crate::stack::Stack> for $type {
            fn id(&self) -> $crate::engine::Id {
                $crate::engine::Id($id)
            }

            fn scope(&self) -> $crate::engine::Scope {
                $crate::engine::Scope::Shared
            }

            fn severity(&self) -> $crate::engine::Severity {
                $crate::engine::Severity::$severity
            }

            async fn observe(
                &$self,
                $stack: &$crate::stack::Stack,
            ) -> anyhow::Result<$crate::engine::Observation> {
                $observe.await
            }
        }
    };
}
