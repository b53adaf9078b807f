import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { withFile } from "../../src/formats/byte-source.ts";
import { stageOutput } from "../../src/formats/output.ts";
import { stageName } from "../../src/formats/stage-owner.ts";
import { errorOf } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const rules = { kind: "folder", overwrite: false, inputs: [] } as const;

async function publishFolder(target: string, text: string, overwrite = false): Promise<void> {
  const staged = stageOutput(target, { ...rules, overwrite });
  writeFileSync(staged.createFile("a.txt"), text);
  writeFileSync(staged.createFile("sub/b.txt"), text);
  await staged.publish();
}

/** A stage name as another process would have given it. */
function foreignStage(target: string, pid: number): string {
  return stageName(target).replace(/-\d+-\d+-([0-9a-f]{8}\.tmp)$/, `-${pid}-0-$1`);
}

describe("a staged folder", () => {
  test("appears whole, and leaves nothing else behind", async () => {
    const folder = temporaryFolder();
    await publishFolder(join(folder, "out"), "one");
    expect(readdirSync(folder)).toEqual(["out"]);
    expect(readFileSync(join(folder, "out/sub/b.txt"), "utf8")).toBe("one");
  });

  test("appears without its scratch files, as a folder and as a file", async () => {
    const folder = temporaryFolder();
    for (const kind of ["folder", "file"] as const) {
      const staged = stageOutput(join(folder, kind), { ...rules, kind });
      const [scratch, other] = [staged.createScratch(), staged.createScratch()];
      writeFileSync(scratch, "numbers");
      expect(other).not.toBe(scratch);
      writeFileSync(staged.createFile("a.txt"), readFileSync(scratch));
      await staged.publish();
    }
    expect(readdirSync(folder)).toEqual(["file", "folder"]);
    expect(readdirSync(join(folder, "folder"))).toEqual(["a.txt"]);
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("numbers");
  });

  test("takes the place of an empty folder", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "out"));
    await publishFolder(join(folder, "out"), "one");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  test("replaces an old one only when asked", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out");
    await publishFolder(out, "one");
    expect((await errorOf(() => publishFolder(out, "two"))).code).toBe("OUTPUT_EXISTS");
    expect(readFileSync(join(out, "a.txt"), "utf8")).toBe("one");
    await publishFolder(out, "two", true);
    expect(readFileSync(join(out, "a.txt"), "utf8")).toBe("two");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  test("leaves the old one when it is discarded", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out");
    await publishFolder(out, "one");
    const staged = stageOutput(out, { ...rules, overwrite: true });
    writeFileSync(staged.createFile("a.txt"), "two");
    staged.discard();
    expect(readdirSync(folder)).toEqual(["out"]);
    expect(readFileSync(join(out, "a.txt"), "utf8")).toBe("one");
  });

  test.each(["../x", "/x", "a/b/c", "a\\b", "C:x", "..", "a/..", "", "a\0b"])("does not create %j", async (name) => {
    const staged = stageOutput(join(temporaryFolder(), "out"), rules);
    expect((await errorOf(() => staged.createFile(name))).code).toBe("PATH_ESCAPE");
    staged.discard();
  });

  test("refuses more bytes than the disk has", async () => {
    const staged = stageOutput(join(temporaryFolder(), "out"), rules);
    expect((await errorOf(() => staged.reserve(1e18))).code).toBe("DISK_FULL");
    staged.discard();
  });
});

describe("what comes to lie at the target while a run is at work", () => {
  test.each(["folder", "file"] as const)("is not replaced by a %s unless asked", async (kind) => {
    const out = join(temporaryFolder(), "out");
    const staged = stageOutput(out, { kind, overwrite: false, inputs: [] });
    writeFileSync(staged.createFile("a.txt"), "new");
    if (kind === "folder") mkdirSync(out);
    const precious = kind === "folder" ? join(out, "precious") : out;
    writeFileSync(precious, "precious");
    expect((await errorOf(() => staged.publish())).code).toBe("OUTPUT_EXISTS");
    staged.discard();
    expect(readFileSync(precious, "utf8")).toBe("precious");
    expect(readdirSync(join(out, ".."))).toEqual(["out"]);
  });
});

describe("a staged file", () => {
  test("replaces the target in one step", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out.safetensors");
    for (const text of ["one", "two"]) {
      const staged = stageOutput(out, { kind: "file", overwrite: true, inputs: [] });
      writeFileSync(staged.createFile("out.safetensors"), text);
      await staged.publish();
      expect(readFileSync(out, "utf8")).toBe(text);
      expect(readdirSync(folder)).toEqual(["out.safetensors"]);
    }
  });

  test("does not replace a folder", async () => {
    const out = join(temporaryFolder(), "out.safetensors");
    mkdirSync(out);
    const error = await errorOf(() => stageOutput(out, { kind: "file", overwrite: true, inputs: [] }));
    expect(error.code).toBe("OUTPUT_EXISTS");
  });
});

describe("inputs", () => {
  const input = (path: string) => withFile(path, ({ identity }) => identity);

  test("are never replaced: by name, through a link, as a hard link, or by the folder around them", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "model"));
    const base = join(folder, "model/base.safetensors");
    writeFileSync(base, "weights");
    symlinkSync(join(folder, "model"), join(folder, "link"));
    linkSync(base, join(folder, "hard.safetensors"));
    const inputs = [input(base)];
    for (const [path, kind] of [
      [base, "file"],
      [join(folder, "link/base.safetensors"), "file"],
      [join(folder, "hard.safetensors"), "file"],
      [join(folder, "model"), "folder"],
      [folder, "folder"],
    ] as const) {
      const error = await errorOf(() => stageOutput(path, { kind, overwrite: true, inputs }));
      expect(error.code, path).toBe("SAME_PATH");
    }
    expect(readFileSync(base, "utf8")).toBe("weights");
  });

  test("are not taken away by replacing a folder of links to them", async () => {
    const repository = join(temporaryFolder(), "models--owner--name");
    const snapshot = join(repository, "snapshots/abc");
    mkdirSync(join(repository, "blobs"), { recursive: true });
    mkdirSync(snapshot, { recursive: true });
    writeFileSync(join(repository, "blobs/hash"), "weights");
    symlinkSync("../../blobs/hash", join(snapshot, "model.safetensors"));
    symlinkSync("nowhere", join(snapshot, "dangling"));
    const inputs = [input(join(repository, "blobs/hash"))];
    const error = await errorOf(() => stageOutput(snapshot, { kind: "folder", overwrite: true, inputs }));
    expect(error.code).toBe("SAME_PATH");
  });

  test("are not reached through an output that is a link", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "elsewhere"));
    symlinkSync(join(folder, "elsewhere"), join(folder, "out"));
    const error = await errorOf(() => stageOutput(join(folder, "out"), { ...rules, overwrite: true }));
    expect(error.code).toBe("NOT_A_REGULAR_FILE");
  });
});

describe("what a killed run leaves", () => {
  // Process numbers end at 2^22 on Linux.
  const DEAD = 4_194_305;

  test("is removed by the next run", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, foreignStage("out", DEAD)));
    await publishFolder(join(folder, "out"), "one");
    expect(readdirSync(folder)).toEqual(["out"]);
  });

  test("gives back an old output that had stepped aside", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out");
    await publishFolder(out, "old");
    renameSync(out, join(folder, foreignStage("out", DEAD).replace(/tmp$/, "old")));
    expect((await errorOf(() => stageOutput(out, rules))).code).toBe("OUTPUT_EXISTS");
    expect(readFileSync(join(out, "a.txt"), "utf8")).toBe("old");
  });

  test("is never half of an old output", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out");
    await publishFolder(out, "new");
    // Killed between the rename and the removal: both are there.
    const aside = foreignStage("out", DEAD).replace(/tmp$/, "old");
    mkdirSync(join(folder, aside));
    expect((await errorOf(() => stageOutput(out, rules))).code).toBe("OUTPUT_EXISTS");
    expect(readdirSync(folder)).toEqual(["out"]);
    expect(readFileSync(join(out, "a.txt"), "utf8")).toBe("new");
  });

  test("is found again for names of any length", async () => {
    const folder = temporaryFolder();
    const name = "n".repeat(255);
    mkdirSync(join(folder, foreignStage(name, DEAD)));
    await publishFolder(join(folder, name), "one");
    expect(readdirSync(folder)).toEqual([name]);
  });

  test("is not confused with the work of a living process, nor with another target's", async () => {
    const folder = temporaryFolder();
    const living = stageOutput(join(folder, "out"), rules);
    mkdirSync(join(folder, foreignStage("other", DEAD)));
    expect((await errorOf(() => stageOutput(join(folder, "out"), rules))).code).toBe("OUTPUT_BUSY");
    living.discard();
    stageOutput(join(folder, "out"), rules).discard();
    expect(readdirSync(folder)).toHaveLength(1);
  });
});
