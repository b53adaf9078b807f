import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import type { OnnxLayout } from "../../../src/formats/onnx/layout.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { type StagedModel, stageModel } from "../../../src/formats/onnx/staged-model.ts";
import { writeOnnx } from "../../../src/formats/onnx/writer.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { floats, unknownFieldsModel } from "./build.ts";
import { bytesIn, openBytes } from "./open.ts";

const model = () => openBytes(unknownFieldsModel());
const RULES = { overwrite: false, inputs: [] };

/** Model and data file. */
function layoutOutside(): OnnxLayout {
  const editor = new OnnxEditor(model());
  editor.moveToExternalData(0);
  return editor.layOut("out.onnx");
}

function stage(target: string, layout: OnnxLayout, overwrite = false): StagedModel {
  const staged = stageModel(target, layout, { ...RULES, overwrite });
  writeOnnx(layout, staged.pathOf);
  return staged;
}

describe("stageModel", () => {
  test("puts the data file and the model in place, and nothing else", async () => {
    const folder = temporaryFolder();
    const staged = stage(join(folder, "out.onnx"), layoutOutside());
    expect(readdirSync(folder).every((name) => name.startsWith("."))).toBe(true);
    await staged.publish();
    expect(readdirSync(folder).sort()).toEqual(["out.onnx", "out.onnx_data"]);
    expect(bytesIn(openOnnx(join(folder, "out.onnx")), "w")).toEqual(floats(1, 2, 3, 4, 5, 6));
  });

  test("makes the folders around a model, and takes them away when it is discarded", async () => {
    const folder = temporaryFolder();
    stage(join(folder, "a/b/out.onnx"), layoutOutside()).discard();
    expect(readdirSync(folder)).toEqual([]);
    await stage(join(folder, "a/b/out.onnx"), layoutOutside()).publish();
    expect(readdirSync(join(folder, "a/b")).sort()).toEqual(["out.onnx", "out.onnx_data"]);
  });

  test("leaves nothing behind when it is discarded", () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "out.onnx"), "old");
    stage(join(folder, "out.onnx"), layoutOutside(), true).discard();
    expect(readdirSync(folder)).toEqual(["out.onnx"]);
    expect(readFileSync(join(folder, "out.onnx"), "utf8")).toBe("old");
  });

  test("leaves nothing behind when it is interrupted", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "out.onnx"), "old");
    const staged = stage(join(folder, "out.onnx"), layoutOutside(), true);
    expect((await errorOf(() => staged.publish(AbortSignal.abort()))).code).toBe("INTERRUPTED");
    staged.discard();
    expect(readFileSync(join(folder, "out.onnx"), "utf8")).toBe("old");
    expect(readdirSync(folder)).toEqual(["out.onnx"]);
  });

  test("replaces a model and its data where that is asked for", async () => {
    const folder = temporaryFolder();
    for (const name of ["out.onnx", "out.onnx_data"]) writeFileSync(join(folder, name), "old");
    await stage(join(folder, "out.onnx"), layoutOutside(), true).publish();
    expect(bytesIn(openOnnx(join(folder, "out.onnx")), "w")).toEqual(floats(1, 2, 3, 4, 5, 6));
  });

  test.each<[string, string, (folder: string) => void]>([
    ["the model exists", "OUTPUT_EXISTS", (folder) => writeFileSync(join(folder, "out.onnx"), "")],
    ["the data file exists", "OUTPUT_EXISTS", (folder) => writeFileSync(join(folder, "out.onnx_data"), "")],
    ["the data file is a folder", "OUTPUT_EXISTS", (folder) => mkdirSync(join(folder, "out.onnx_data"))],
    [
      "the data file is a link",
      "NOT_A_REGULAR_FILE",
      (folder) => symlinkSync("elsewhere", join(folder, "out.onnx_data")),
    ],
  ])("refuses when %s, and leaves no stage", async (_, code, make) => {
    const folder = temporaryFolder();
    make(folder);
    const before = readdirSync(folder);
    expect((await errorOf(() => stageModel(join(folder, "out.onnx"), layoutOutside(), RULES))).code).toBe(code);
    expect(readdirSync(folder)).toEqual(before);
  });

  test("never removes a model that came to lie there in the meantime", async () => {
    const folder = temporaryFolder();
    const staged = stage(join(folder, "out.onnx"), layoutOutside());
    writeFileSync(join(folder, "out.onnx"), "another's");
    expect((await errorOf(() => staged.publish())).code).toBe("OUTPUT_EXISTS");
    expect(readFileSync(join(folder, "out.onnx"), "utf8")).toBe("another's");
    staged.discard();
  });

  test("never replaces an input: the model itself or its data file", async () => {
    const folder = temporaryFolder();
    await stage(join(folder, "out.onnx"), layoutOutside()).publish();
    const opened = openOnnx(join(folder, "out.onnx"));
    const layout = new OnnxEditor(opened).layOut("out.onnx");
    const rules = { overwrite: true, inputs: opened.store.files };
    expect((await errorOf(() => stageModel(join(folder, "out.onnx"), layout, rules))).code).toBe("SAME_PATH");
  });
});
