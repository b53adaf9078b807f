/**
 * The engine on onnxruntime-node (1.30): CPU, WebGPU, CUDA, Core ML and DirectML providers behind one interface.
 *
 * Takes graphs up to opset 26 and IR 13. The binding writes preallocated outputs in place, and besides copies each output
 * into a new ArrayBuffer, wanted or not. Importing this file loads the native library.
 */

import { env, InferenceSession, Tensor } from "onnxruntime-node";
import { encodeGraph } from "../formats/onnx/encoder.ts";
import type { Graph } from "../formats/onnx/graph.ts";
import { identifyDevice } from "./adapter-identity.ts";
import type { Device, DeviceInfo } from "./device.ts";
import type { CompileOptions, Engine, Program } from "./engine.ts";
import { placeWeights } from "./external-weights.ts";
import { discardBytes } from "./garbage.ts";
import { compileError, deviceError, runError } from "./onnxruntime-errors.ts";
import { fromOrtTensor, toOrtTensor } from "./onnxruntime-tensor.ts";
import { proveDevice, provesF16 } from "./probe.ts";
import type { EngineTensor, EngineTensors } from "./tensor.ts";

// Whatever goes wrong is thrown as well; ONNX Runtime would also print it, in colour.
const FATAL_ONLY = 4;
env.logLevel = "fatal";

/** ML programs are Core ML's newer form; the older one multiplies by constants only. */
const COREML_ML_PROGRAM = 0x10;

/** They would widen constants once for the whole session, or once for all nodes that read them; `all` widens anyhow. */
const KEEP_F16 = {
  level: "extended",
  config: { "optimization.disable_specified_optimizers": "ConstantFolding;CommonSubexpressionElimination" },
} as const;

const PROVIDERS: Readonly<Record<Device, InferenceSession.ExecutionProviderConfig>> = {
  cpu: "cpu",
  webgpu: "webgpu",
  cuda: "cuda",
  coreml: { name: "coreml", coreMlFlags: COREML_ML_PROGRAM },
  dml: "dml",
};

/** @throws {UnsupportedError} DEVICE_UNAVAILABLE */
export async function openOnnxRuntime(device: Device, threads: number | undefined): Promise<Engine> {
  const programs = new Set<OnnxRuntimeProgram>();
  const compile = async (graph: Graph, options: CompileOptions = {}): Promise<Program> => {
    const session = await createSession(graph, options, device, threads);
    const program = new OnnxRuntimeProgram(session, graph.name, () => programs.delete(program));
    programs.add(program);
    return program;
  };
  const close = async (): Promise<void> => {
    for (const program of programs) await program.close();
  };
  let info: DeviceInfo;
  let keepsF16: boolean;
  try {
    // The probe stays open with the engine: a WebGPU device dies with its last session, and a new one takes long.
    await proveDevice(compile);
    info = identifyDevice(device);
    // The processor reads f32 weights from where they lie; widening them at every step would only cost time.
    keepsF16 = device !== "cpu" && (await provesF16(compile));
  } catch (error) {
    await close();
    throw deviceError(error, device);
  }
  return { device: info, keepsF16, compile, close };
}

async function createSession(
  graph: Graph,
  options: CompileOptions,
  device: Device,
  threads: number | undefined,
): Promise<InferenceSession> {
  const { file, prefer = "speed", allowCpuNodes = false } = options;
  const weights = placeWeights(graph);
  const model = encodeGraph(graph, weights.locate);
  // https://github.com/microsoft/onnxruntime/blob/main/include/onnxruntime/core/session/onnxruntime_session_options_config_keys.h
  const extra: Record<string, string> = {
    "session.disable_cpu_ep_fallback": device === "cpu" || allowCpuNodes ? "0" : "1",
    "session.disable_prepacking": prefer === "size" ? "1" : "0",
  };
  const keepsF16 = device !== "cpu" && holdsF16(graph);
  if (keepsF16) Object.assign(extra, KEEP_F16.config);
  if (weights.folder !== undefined) extra["session.model_external_initializers_file_folder_path"] = weights.folder;
  try {
    return await InferenceSession.create(model, {
      executionProviders: [PROVIDERS[device]],
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
      interOpNumThreads: 1,
      executionMode: "sequential",
      graphOptimizationLevel: keepsF16 ? KEEP_F16.level : "all",
      // Plans memory for the shapes of the first run; costs 60 % more memory in training and nothing else.
      enableMemPattern: false,
      enableCpuMemArena: prefer === "speed",
      logSeverityLevel: FATAL_ONLY,
      externalData: weights.buffers,
      extra,
    });
  } catch (error) {
    throw compileError(error, { graph: graph.name, device, file });
  }
}

function holdsF16({ initialisers }: Graph): boolean {
  return [...initialisers.values()].some(({ dtype }) => dtype === "f16");
}

class OnnxRuntimeProgram implements Program {
  readonly #session: InferenceSession;
  readonly #graphName: string;
  /** Returns whether the program was still open. */
  readonly #onClose: () => boolean;

  constructor(session: InferenceSession, graphName: string, onClose: () => boolean) {
    this.#session = session;
    this.#graphName = graphName;
    this.#onClose = onClose;
  }

  async run(feeds: EngineTensors, fetches?: ReadonlyMap<string, EngineTensor | undefined>): Promise<EngineTensors> {
    const inputs: Record<string, Tensor> = {};
    for (const [name, tensor] of feeds) inputs[name] = toOrtTensor(tensor);
    const wanted = fetches ?? new Map(this.#session.outputNames.map((name) => [name, undefined]));
    const outputs: Record<string, Tensor | null> = {};
    for (const [name, tensor] of wanted) outputs[name] = tensor === undefined ? null : toOrtTensor(tensor);
    let results: InferenceSession.ReturnType;
    try {
      results = await this.#session.run(inputs, outputs);
    } catch (error) {
      throw runError(error, this.#graphName);
    }
    const tensors = new Map<string, EngineTensor>();
    for (const [name, target] of wanted) {
      const result = results[name];
      if (!(result instanceof Tensor)) throw new Error(`graph has no output ${JSON.stringify(name)}`);
      tensors.set(name, target ?? fromOrtTensor(result));
      if (target !== undefined) discardBytes(target.data.byteLength);
    }
    return tensors;
  }

  async close(): Promise<void> {
    if (this.#onClose()) await this.#session.release();
  }
}
