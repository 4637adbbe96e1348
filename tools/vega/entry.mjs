export { View, parse, Warn, Error as ErrorLevel } from "vega";
export { compile } from "vega-lite";
export { expressionInterpreter } from "vega-interpreter";
