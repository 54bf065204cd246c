/** `npm run bench -- NAME [options]`: runs one of the programs beside this file, as built into dist/bench/. */
const [name] = process.argv.splice(2, 1);
await import(new URL(`../dist/bench/${name}.js`, import.meta.url).href);
