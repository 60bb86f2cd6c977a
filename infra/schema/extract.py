#!/usr/bin/env python3
"""Writes schemas.json: what the Terraform providers take, for the resources that the roots use.

Providers come from Terraform's registry alone. Where that is out of reach, what
they take is in their source, where google's is read by tools/standin/google, and
inside the npm packages that HashiCorp generated from aws and azurerm, in their
jsii manifests: each argument with its type, whether it is required, and whether
it is a block. `make infra-schema` runs this; it needs npm, Go and git, or in place
of the latter GOOGLE_PROVIDER, a checkout of the provider google.
"""

import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
INFRA = HERE.parent

# The last versions that were published of each package: the project behind them has ended.
PACKAGES = {
    "aws": ("@cdktf/provider-aws", "21.22.1"),
    "azurerm": ("@cdktf/provider-azurerm", "14.23.1"),
}

# Newer than the last package of google, which was a major version behind.
GOOGLE = ("github.com/hashicorp/terraform-provider-google", "7.45.0")

# A property's description links to the argument's own name in Terraform, which the property's name is derived from.
LINK = re.compile(r"\{@link \S+/docs(?:/(resources|data-sources)/(\w+))?#(\w+) ")
DECLARED = re.compile(r'^(resource|data)\s+"(\w+)"', re.MULTILINE)


def in_use():
    """The kinds and types of everything that the roots declare."""
    return {found for file in INFRA.glob("*/*.tf") for found in DECLARED.findall(file.read_text())}


def fetch(package, version, directory):
    """The package's own description and its jsii manifest."""
    name = subprocess.run(
        ["npm", "pack", "--silent", "--pack-destination", directory, f"{package}@{version}"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.strip()
    with tarfile.open(pathlib.Path(directory, name)) as archive:
        return [json.load(archive.extractfile(f"package/{member}")) for member in ("package.json", ".jsii")]


def link(prop):
    """Kind, type and name that a property's description links to."""
    docs = prop.get("docs", {})
    found = LINK.search(docs.get("remarks", "")) or LINK.search(docs.get("summary", ""))
    return found.groups() if found else (None, None, None)


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def kind_of(reference):
    """A type as Terraform calls it, and the name of the structure behind it, if there is one."""
    if "primitive" in reference:
        return {"boolean": "bool"}.get(reference["primitive"], reference["primitive"]), None
    if "collection" in reference:
        inner, structure = kind_of(reference["collection"]["elementtype"])
        kind = "list" if reference["collection"]["kind"] == "array" else "map"
        return f"{kind}({inner})", structure
    if "union" in reference:
        kinds = [t for t in reference["union"]["types"] if t.get("fqn") != "cdktf.IResolvable"]
        # A value, or a list or a map of values: jsii has no better word for a set of numbers.
        return kind_of(max(kinds, key=lambda t: "collection" in t))
    return "object", reference["fqn"]


def body(types, properties):
    """Arguments and blocks; a required one is marked with an exclamation mark, an only one with a question mark."""
    arguments, blocks = {}, {}
    for prop in properties:
        name = link(prop)[2] or snake(prop["name"])
        kind, structure = kind_of(prop["type"])
        must = "" if prop.get("optional") else "!"
        is_block = prop.get("docs", {}).get("summary", "") == f"{name} block."
        if is_block:
            inner = body(types, types[structure].get("properties", []))
            read = computed(types, structure + "OutputReference", types[structure].get("properties", []))
            blocks[name] = {"kind": ("one" if kind == "object" else "many") + must, **inner}
            if read:
                blocks[name]["computed"] = read
        else:
            arguments[name] = kind + must
    result = {"arguments": dict(sorted(arguments.items()))}
    if blocks:
        result["blocks"] = dict(sorted(blocks.items()))
    return result


def computed(types, name, properties):
    """What can only be read: the properties of a class that nobody sets."""
    set_by_user = {prop["name"] for prop in properties} | {"internalValue"}
    return sorted(
        snake(prop["name"])
        for prop in types.get(name, {}).get("properties", [])
        if not prop.get("static") and not prop["name"].endswith("Input") and prop["name"] not in set_by_user
    )


def entry(types, config):
    """A resource's body, and the attributes that can only be read."""
    result = body(types, config["properties"])
    return {**result, "computed": computed(types, config["fqn"].removesuffix("Config"), config["properties"])}


def google(document, wanted):
    """What the provider google takes, from its source."""
    place, version = GOOGLE
    resources = sorted(name for kind, name in wanted if kind == "resource" and name.startswith("google_"))
    with tempfile.TemporaryDirectory() as directory:
        checkout = os.environ.get("GOOGLE_PROVIDER")
        if not checkout:
            checkout = directory
            subprocess.run(["git", "clone", "--quiet", "--depth=1", f"--branch=v{version}", f"https://{place}", directory], check=True)
        found = json.loads(subprocess.run(
            ["go", "run", "./google", os.path.abspath(checkout), "google_project", *resources],
            check=True, stdout=subprocess.PIPE, text=True, cwd=INFRA.parent / "tools" / "standin",
        ).stdout)
    # Where each service is reached is nothing that the roots set.
    provider = found.pop("provider")
    provider["arguments"] = {k: v for k, v in provider["arguments"].items() if not k.endswith("_custom_endpoint")}
    document["providers"]["google"] = {"source": "hashicorp/google", "version": version, "package": f"{place}@v{version}", **provider}
    # The data source takes the project's ID, and reads what the resource has.
    project = found.pop("google_project")
    names = {*project["arguments"], *project.get("computed", [])} - {"project_id"}
    document["data"]["google_project"] = {"arguments": {"project_id": "string"}, "computed": sorted(names)}
    document["resource"].update(found)


def main():
    wanted = in_use()
    document = {"providers": {}, "resource": {}, "data": {}}
    for provider, (package, version) in PACKAGES.items():
        with tempfile.TemporaryDirectory() as directory:
            about, manifest = fetch(package, version, directory)
        types = manifest["types"]
        document["providers"][provider] = {
            "source": about["cdktf"]["provider"]["name"].removeprefix("registry.terraform.io/"),
            "version": about["cdktf"]["provider"]["version"],
            "package": f"{package}@{version}",
        }
        for name, config in types.items():
            if name.endswith(f".provider.{provider.capitalize()}ProviderConfig"):
                document["providers"][provider].update(body(types, config["properties"]))
            if "cdktf.TerraformMetaArguments" not in config.get("interfaces", []):
                continue
            kinds = {link(prop)[:2] for prop in config.get("properties", [])} - {(None, None)}
            for place, short in kinds:
                key = ("data" if place == "data-sources" else "resource", f"{provider}_{short}")
                if key in wanted:
                    document[key[0]][key[1]] = entry(types, config)
    google(document, wanted)
    missing = wanted - {(kind, name) for kind in ("resource", "data") for name in document[kind]}
    if missing:
        raise SystemExit(f"no provider has {sorted(missing)}")
    write(document)


def write(document):
    """A line for each resource, so that a difference can be read."""
    lines = []
    for section, entries in document.items():
        rows = [f"    {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in sorted(entries.items())]
        lines.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(rows) + "\n  }")
    (HERE / "schemas.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
