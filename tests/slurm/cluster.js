// @ts-check
/**
 * A Slurm cluster of one node in a folder: Debian's slurmctld and slurmd, without accounts, keys or a database.
 */

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { availableParallelism, hostname } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

/** What has to be installed. */
export const PROGRAMS = ["slurmctld", "slurmd", "sbatch", "squeue", "sinfo"];

/** @returns {string[]} the programs that are missing */
export function missingPrograms() {
  return PROGRAMS.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0);
}

/**
 * Starts the cluster and waits until its node is idle.
 *
 * @param {string} folder empty
 * @returns {Promise<{ env: NodeJS.ProcessEnv, stop: () => Promise<void> }>} `env`: what Slurm's commands need
 */
export async function startCluster(folder) {
  const config = join(folder, "slurm.conf");
  for (const name of ["state", "spool"]) mkdirSync(join(folder, name));
  writeFileSync(config, await makeConfig(folder));
  const env = { ...process.env, SLURM_CONF: config };
  const daemons = ["slurmctld", "slurmd"].map((name) => {
    const log = openSync(join(folder, `${name}.log`), "w");
    return spawn(name, ["-D", "-f", config], { env, stdio: ["ignore", log, log] });
  });
  const stop = async () => {
    for (const daemon of daemons.toReversed()) {
      if (daemon.exitCode !== null) continue;
      daemon.kill("SIGTERM");
      await once(daemon, "exit");
    }
  };
  for (let attempt = 0; attempt < 100; attempt++) {
    const { stdout } = spawnSync("sinfo", ["-h", "-o", "%T"], { env, encoding: "utf8" });
    if (stdout?.trim() === "idle") return { env, stop };
    await setTimeout(200);
  }
  await stop();
  throw new Error(`the node did not become idle; see the logs in ${folder}`);
}

/** @param {string} folder */
async function makeConfig(folder) {
  const user = process.getuid?.() === 0 ? "root" : (process.env["USER"] ?? "root");
  return `ClusterName=test
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${await freePort()}
SlurmdPort=${await freePort()}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,defer
MinJobAge=300
ReturnToService=2
StateSaveLocation=${join(folder, "state")}
SlurmdSpoolDir=${join(folder, "spool")}
SlurmctldPidFile=${join(folder, "slurmctld.pid")}
SlurmdPidFile=${join(folder, "slurmd.pid")}
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
NodeName=${hostname()} NodeAddr=127.0.0.1 CPUs=${availableParallelism()}
PartitionName=all Nodes=ALL Default=YES
`;
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
