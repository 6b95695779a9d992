//! What is linked into what: the packages below a member of the workspace, as cargo resolves them
//! for one target. Build scripts, macros and tests are left out; they run elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, Package, PackageId};

/// Every package of the lock file that the target needs, and the arrows between them.
pub(crate) struct Graph {
    packages: BTreeMap<PackageId, Package>,
    arrows: BTreeMap<PackageId, Vec<PackageId>>,
}

impl Graph {
    /// Asks cargo about the workspace in `root`; `target` is a triple. Its features are the default ones.
    ///
    /// # Errors
    /// cargo could not resolve the workspace: the lock file is missing or out of date.
    pub(crate) fn resolve(root: &Path, target: &str) -> Result<Graph, Box<dyn Error>> {
        let metadata = MetadataCommand::new()
            .current_dir(root)
            .features(CargoOpt::SomeFeatures(Vec::new()))
            .other_options(["--locked".into(), "--filter-platform".into(), target.into()])
            .exec()?;
        let resolve = metadata.resolve.ok_or("cargo resolves nothing")?;
        let packages: BTreeMap<_, _> = metadata
            .packages
            .into_iter()
            .filter(|it| !it.targets.iter().any(cargo_metadata::Target::is_proc_macro))
            .map(|package| (package.id.clone(), package))
            .collect();
        let linked = |node: cargo_metadata::Node| {
            let to: Vec<_> = node
                .deps
                .into_iter()
                .filter(|it| {
                    it.dep_kinds
                        .iter()
                        .any(|kind| kind.kind == DependencyKind::Normal)
                })
                .map(|it| it.pkg)
                .filter(|id| packages.contains_key(id))
                .collect();
            (node.id, to)
        };
        let arrows = resolve.nodes.into_iter().map(linked).collect();
        Ok(Graph { packages, arrows })
    }

    /// The member called `name`.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn member(&self, name: &str) -> Result<&Package, String> {
        let mut members = self.packages.values().filter(|it| it.source.is_none());
        let member = members.find(|it| it.name == name);
        member.ok_or_else(|| format!("the workspace has no package {name}"))
    }

    /// `package` and all that is linked into it, by name and version.
    pub(crate) fn with_all_below(&self, package: &Package) -> Vec<&Package> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![&package.id]);
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                next.extend(self.arrows.get(id).into_iter().flatten());
            }
        }
        let mut all: Vec<_> = seen.iter().filter_map(|id| self.packages.get(id)).collect();
        all.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        all
    }

    /// What is linked into `package` directly.
    pub(crate) fn below(&self, package: &Package) -> Vec<&Package> {
        let ids = self.arrows.get(&package.id).into_iter().flatten();
        let mut below: Vec<_> = ids.filter_map(|id| self.packages.get(id)).collect();
        below.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        below
    }
}
